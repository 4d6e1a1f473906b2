#!/usr/bin/env bash
# Measures the speed on this machine's accelerator (see accelerator.py): takes the Python that is there if it has
# all that is needed, which works without a network, or else makes an environment with "jax[cuda13]" beside it.
# Arguments go to accelerator.py.
set -euo pipefail
cd "$(dirname "$0")/.."
needs='import flax, jax, numpy, optax, orbax.checkpoint, rich, scipy, tensorstore; assert jax.__version_info__ >= (0, 10)'
python=${PYTHON:-python3}
if ! reason=$("$python" -c "$needs" 2>&1); then
  echo "$python lacks what is needed, so an environment is made, which takes a network: $(tail -1 <<< "$reason")" >&2
  "$python" -m venv .venv
  python=.venv/bin/python
  "$python" -m pip install -q "jax[cuda13]>=0.10" flax optax orbax-checkpoint numpy tensorstore rich scipy
fi
# Batches of 64 chunks need much of the memory.
export XLA_PYTHON_CLIENT_MEM_FRACTION=${XLA_PYTHON_CLIENT_MEM_FRACTION:-0.92}
PYTHONPATH=. exec "$python" benchmarks/accelerator.py "$@"
