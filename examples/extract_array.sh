#!/bin/sh
# Extract the features of a list of videos as a SLURM job array: each task takes one part of it.
#
#     sbatch --array=1-16 examples/extract_array.sh videos.txt store --device cuda
#
# All tasks write into one store. What is complete there is kept, so the same line, with any number
# of tasks, continues an array that was interrupted. Then, once, on any machine:
#
#     duetal extract videos.txt --out store --manifest --device cuda
#
#SBATCH --cpus-per-task=4
set -eu
list=$1
store=$2
shift 2
# Arrays may begin at 0, or at any other number.
part=$((${SLURM_ARRAY_TASK_ID:-1} - ${SLURM_ARRAY_TASK_MIN:-1} + 1))
exec duetal extract "$list" --out "$store" --part "$part/${SLURM_ARRAY_TASK_COUNT:-1}" "$@"
