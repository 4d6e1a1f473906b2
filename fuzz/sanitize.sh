#!/usr/bin/env bash
# Builds the kernels with AddressSanitizer and UndefinedBehaviorSanitizer, and fuzzes payloads and containers with
# them.
#
#     fuzz/sanitize.sh [COUNT [SEED]]        # in an environment with nvc_jax; 100,000 inputs by default
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
cmake -S "$root/native" -B "$build" -DNVC_SANITIZE=ON -DPython_EXECUTABLE="$(command -v python)" > "$build/log"
cmake --build "$build" --parallel >> "$build/log"
# The sanitizers must be loaded before Python. Python itself does not free all its memory. The programs around
# the kernels are not what is tested: they are compiled without optimisation.
export LD_PRELOAD="$(g++ -print-file-name=libasan.so):$(g++ -print-file-name=libubsan.so)"
export ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1
export XLA_FLAGS="--xla_backend_optimization_level=0 ${XLA_FLAGS:-}"
export NVC_JAX_KERNELS="$build/libnvc_kernels.so" PYTHONPATH="$root"
# The sanitizers reserve more memory than any limit allows.
cd "$root" && python -m fuzz --inputs "${1:-100000}" --seed "${2:-0}" --memory 0
