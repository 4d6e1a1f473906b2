"""Strict settings for every test: two virtual devices, no implicit promotion, programs compiled once."""

import atexit
import os
import shutil
import tempfile

os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=2"

import hypothesis
import jax

# Many tests encode volumes of one shape, some in processes of their own.
if "PYTEST_XDIST_WORKER" not in os.environ:  # which share what their parent made
    os.environ["JAX_COMPILATION_CACHE_DIR"] = tempfile.mkdtemp(prefix="nvc-programs-")
    atexit.register(shutil.rmtree, os.environ["JAX_COMPILATION_CACHE_DIR"], ignore_errors=True)
jax.config.update("jax_compilation_cache_dir", os.environ["JAX_COMPILATION_CACHE_DIR"])

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
hypothesis.settings.register_profile("nvc", deadline=None, max_examples=25, derandomize=True)
# By hand: python -m pytest --hypothesis-profile=long tests/chunks/test_error_correction.py …
hypothesis.settings.register_profile("long", deadline=None, max_examples=12_000)
hypothesis.settings.load_profile("nvc")
