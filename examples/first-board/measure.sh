#!/usr/bin/env bash
# Measure one model of a file into a board's repository, with its controls and twins. Again, it
# measures what has no record yet, and encodes what the store lacks.
#     measure.sh BOARD MODELS LINE [OPTION…]     LINE: of those that name a model, from 1
# OPTIONs go to 'hiereval run'. Exit code 0: all is measured; else BOARD/logs/NAME.failed says why.
set -euo pipefail
board=$1 models=$2 line=$3
shift 3

model=$(grep -vE '^[[:space:]]*(#|$)' "$models" | sed -n "${line}p")
read -r name _ <<< "$model"
name=${name//[^A-Za-z0-9_-]/-}
[ -n "$name" ] || { echo "$models names no model $line" >&2; exit 2; }
log=$board/logs/$name results=$board/results/$name
mkdir -p "$board/logs"
printf '%s\n' "$model" > "$log.txt"

echo "$(date '+%F %T') $line $name"
code=0
hiereval run --models "$log.txt" --output-path "$results" --log-samples --controls all \
  --tasks ordering,entailment,image-entailment,retrieval,interpolation,flat-retrieval,pep \
  "$@" > "$log.log" 2>&1 || code=$?
[ "$code" -ne 130 ] || exit 130 # Ctrl-C
rmdir "$results" 2> /dev/null || true # of a model that could not be loaded
rm -f "$log.failed"
[ "$code" -eq 0 ] || { grep -a . "$log.log" | tail -n 1 || true; } > "$log.failed"
exit "$code"
