#!/bin/sh
# What a GPU is for, measured in at most six minutes:
#
#     benchmarks/gpu.sh OUT [DEVICE]
#
# writes OUT/gpu.json and prints a table: TV-L1 beside one core, checked against it; decoding, flow, I3D and CLIP
# beside the slowest stage; a family of transformers in bfloat16; a training step beside the bare one; alternating
# beside asynchronous training; and how busy the card was. DEVICE is cuda unless given; cpu tries the script alone.
set -eu
cd "$(dirname "$0")/.."
out=${1:?usage: benchmarks/gpu.sh OUT [DEVICE]}
device=${2:-cuda}
python=${PYTHON:-.venv/bin/python}
mkdir -p "$out"
exec "$python" benchmarks/_gpu_steps.py "$out" "$device"
