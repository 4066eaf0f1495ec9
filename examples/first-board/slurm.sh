#!/usr/bin/env bash
# Submit every model of a file to SLURM, a task of an array with one GPU each, and a job after them
# that publishes the board.
#     slurm.sh BOARD [MODELS [OPTION…]]     OPTIONs go to 'hiereval run'
# BOARD and HIEREVAL_CACHE must lie on a disk that the nodes share. What a cluster wants besides,
# sbatch takes from its own variables: SBATCH_ACCOUNT, SBATCH_PARTITION, SBATCH_TIMELIMIT, …
# After a time limit or a failure: the same command goes on where it stopped.
set -euo pipefail
here=$(dirname "$(realpath "$0")")
board=$(realpath "$1") models=$(realpath "${2:-$here/models.txt}")
shift $(($# < 2 ? $# : 2))

n=$(grep -cvE '^[[:space:]]*(#|$)' "$models")
mkdir -p "$board/logs"
measure=$(printf '%q ' bash "$here/measure.sh" "$board" "$models")
options=$(printf '%q ' "$@")
array=$(sbatch --parsable --job-name first-board --array "1-$n%${AT_ONCE:-8}" --requeue \
  --gpus 1 --cpus-per-task 8 --mem 48G --output "$board/logs/slurm-%A-%a.out" \
  --wrap "$measure \$SLURM_ARRAY_TASK_ID ${*:+$options}")
sbatch --job-name publish-board --dependency "afterany:${array%%;*}" --mem 8G \
  --output "$board/logs/slurm-%j.out" --wrap "$(printf '%q ' bash "$here/publish.sh" "$board")"
