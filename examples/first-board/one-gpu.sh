#!/usr/bin/env bash
# Measure every model of a file on this machine, one after the other, and publish the board.
#     one-gpu.sh BOARD [MODELS [OPTION…]]     OPTIONs go to 'hiereval run'
# After a kill, a reboot or a failure: the same command goes on where it stopped.
set -euo pipefail
here=$(dirname "$(realpath "$0")")
board=$1 models=${2:-$here/models.txt}
shift $(($# < 2 ? $# : 2))

worst=0
for line in $(seq "$(grep -cvE '^[[:space:]]*(#|$)' "$models")"); do
  code=0
  bash "$here/measure.sh" "$board" "$models" "$line" "$@" || code=$?
  [ "$code" -ne 130 ] || exit 130 # Ctrl-C
  [ "$code" -eq 0 ] || worst=1
done
bash "$here/publish.sh" "$board"
exit "$worst"
