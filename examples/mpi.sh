#!/bin/bash
# Compress one volume by as many processes as the launcher of MPI starts, Open MPI, MPICH or Intel MPI:
#
#     bash mpi.sh 16 flow.h5::/velocity flow.zarr --relative-error 1e-3 --shard 512,512,512
#
# nvc itself does not use MPI. If some of the processes end early, call the same again: what is written is kept.
set -euo pipefail
processes=$1 source=$2 container=$3
mpirun -n "$processes" nvc compress "$source" "$container" "${@:4}" --part auto
nvc verify "$source" "$container"
