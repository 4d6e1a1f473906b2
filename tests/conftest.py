"""Strict settings for every test: two virtual devices, no implicit promotion, programs compiled once."""

import atexit
import gc
import os
import shutil
import signal
import tempfile
from importlib.metadata import version
from pathlib import Path

# Importing modules and collecting tests leaves no garbage, and looking for it takes a fifth of the time.
if gc.isenabled():
    gc.disable()  # until the tests are collected

# What is started in the background by a shell ignores Ctrl-C, and so would the programs that tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

if "PYTEST_XDIST_WORKER" not in os.environ:  # workers, and other processes, share what their parent sets
    # Most of the time goes into compiling. Without optimisation it takes half as long, and the programs make
    # the same bytes; 5 % less if no program is split for several threads. Flags that are set outside win.
    flags = [
        "--xla_force_host_platform_device_count=2",
        "--xla_backend_optimization_level=0",
        "--xla_cpu_parallel_codegen_split_count=1",
    ]
    if version("jaxlib").startswith("0.10."):  # later releases end at flags that they no longer have
        flags.append("--xla_cpu_use_fusion_emitters=false")
    os.environ["XLA_FLAGS"] = " ".join([*flags, os.environ.get("XLA_FLAGS", "")])
    # As many processes run as there are cores; idle threads of NumPy's products would keep these busy.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # Many tests encode volumes of one shape, some in processes of their own.
    os.environ["JAX_COMPILATION_CACHE_DIR"] = tempfile.mkdtemp(prefix="nvc-programs-")
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    atexit.register(shutil.rmtree, os.environ["JAX_COMPILATION_CACHE_DIR"], ignore_errors=True)

import hypothesis
import jax
import pytest

from nvc_jax.core.heaps import release_unused

jax.config.update("jax_compilation_cache_dir", os.environ["JAX_COMPILATION_CACHE_DIR"])
# Processes that tests start share all of their programs. Here, where a program is seldom compiled again,
# writing one takes longer than it saves if it compiles in less than this.
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
hypothesis.settings.register_profile("nvc", deadline=None, max_examples=25, derandomize=True)
# By hand: python -m pytest --hypothesis-profile=long tests/chunks/test_error_correction.py …
hypothesis.settings.register_profile("long", deadline=None, max_examples=12_000)
hypothesis.settings.load_profile("nvc")

LONGEST = (
    "integration/test_docs.py",
    "integration/test_clusters.py",
    "integration/test_training_processes.py",
    "spectral/test_tile_runs.py",
    "integration/test_series.py",
    "spectral/test_group_columns.py",
    "autoencoder/test_tile_kernels.py",
    "spectral/training/test_fit.py",
    "autoencoder/test_tile_blend_decoder.py",
    "benchmarks/test_programs.py",
    "format/test_golden.py",
    "autoencoder/test_tile_window_encoder.py",
    "spectral/test_native_bitstream.py",
    "integration/test_interruption.py",
    "lattice/test_native_programs.py",
    "integration/test_writers.py",
    "autoencoder/test_codec.py",
    "spectral/test_group_bitstream.py",
    "compression/test_compress.py",
    "chunks/test_chunk_codec.py",
    "chunks/test_encoding_batches.py",
    "spectral/test_encoder.py",
    "integration/test_bounds.py",
    "spectral/test_model.py",
    "integration/test_large_volumes.py",
    "integration/test_processes.py",
    "integration/test_ranks.py",
    "integration/test_fuzz.py",
    "integration/test_missing_values.py",
    "models/test_registry.py",
)
"""Files of tests that take longest: they are run first, so that no process ends with one of them alone."""
MOST_BYTES = min(1600 << 20, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGESIZE") // 8)
"""Memory of a process, but for what it shares, beyond which programs do not wait for the next test that needs
them: with what a single test takes it stays below 2 GiB."""


def pytest_collection_finish() -> None:
    """Let the collector of garbage leave out what stays for the whole run, and run less often."""
    gc.freeze()
    gc.set_threshold(20_000, 20, 100)
    gc.enable()


def takes_much_memory() -> bool:
    """Tell whether the process takes much memory; true where nothing says."""
    status = Path("/proc/self/statm")
    if not status.is_file():
        return True
    resident, shared = map(int, status.read_text().split()[1:3])
    return (resident - shared) * os.sysconf("SC_PAGESIZE") > MOST_BYTES


def pytest_runtest_teardown() -> None:
    """Free the programs that tests compiled before they take too much memory.

    Each program takes memory maps, too. Linux allows a process 65,530 of them (``vm.max_map_count``), and
    beyond that XLA ends in a segmentation fault. Memory runs out earlier.
    """
    if takes_much_memory():
        jax.clear_caches()
        release_unused()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files that take longest first."""
    rank = {Path(__file__).parent / name: number for number, name in enumerate(LONGEST)}
    assert all(path.is_file() for path in rank)
    items.sort(key=lambda item: rank.get(item.path, len(rank)))
