#!/bin/bash
#SBATCH --job-name=compress --ntasks=16 --cpus-per-task=8 --time=01:00:00
#
# Compress one volume by 16 processes, each of which writes its own objects of one container:
#
#     sbatch slurm.sh flow.h5::/velocity flow.zarr --relative-error 1e-3 --shard 512,512,512
#
# The processes need a common file system. If some of them end early, submit the same again: what is written
# is kept.
set -euo pipefail
source=$1 container=$2
srun nvc compress "$source" "$container" "${@:3}" --part auto
nvc verify "$source" "$container"
