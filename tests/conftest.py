"""Strict settings for every test: two virtual devices, no implicit promotion, programs compiled once."""

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterator

os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=2"

import hypothesis
import jax
import pytest

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


@pytest.fixture(scope="module", autouse=True)
def _freed_programs() -> Iterator[None]:
    """Free the programs that the tests of a module compiled.

    Each program takes memory maps. Linux allows a process 65,530 of them (``vm.max_map_count``), and beyond
    that XLA ends in a segmentation fault.
    """
    yield
    jax.clear_caches()
