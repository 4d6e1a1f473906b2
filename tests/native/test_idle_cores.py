import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from one_core import on_one_core

from nvc_jax.chunks.chunk_codec import ChunkCodec
from nvc_jax.core.chunk_interfaces import ChunkTarget
from nvc_jax.models.codec import load_codec
from nvc_jax.native.idle_cores import keeping_core, map_on_idle_cores
from nvc_jax.spectral.transform_coder import SpectralTransformCoder

pytestmark = pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity") or len(os.sched_getaffinity(0)) < 2,
    reason="the process may use one core only",
)
SHAPE = (48, 72, 64)


def volume_of(kind: str) -> np.ndarray:
    """Make a smooth volume, one with noise, or one with an empty background."""
    grids = np.meshgrid(*(np.linspace(0, 3, side) for side in SHAPE), indexing="ij")
    volume = np.sin(7 * grids[0] * grids[1]) * np.cos(5 * grids[2] + grids[1])
    if kind == "noise":
        volume += np.random.default_rng(0).normal(0, 0.2, SHAPE)
    if kind == "background":
        volume[volume < 0.2] = 0
    return volume.astype(np.float32)


@pytest.mark.parametrize("kind", ["smooth", "noise", "background"])
@pytest.mark.parametrize("target", [ChunkTarget(None, 0.02), ChunkTarget(0.01, 0.02), ChunkTarget(0.0, None)])
def test_payloads_and_values_are_the_same_on_one_core_and_on_several(kind: str, target: ChunkTarget) -> None:
    coder = SpectralTransformCoder(load_codec("nvc-1").params, SHAPE)
    codec = ChunkCodec(coder, SHAPE, np.dtype(np.float32))
    volume = volume_of(kind)
    payload = codec.encode(volume, target)
    decoded = codec.decode(payload)
    with on_one_core():
        assert codec.encode(volume, target) == payload
        np.testing.assert_array_equal(codec.decode(payload), decoded)


def test_errors_of_a_function_that_keeps_its_core_are_raised() -> None:
    @keeping_core
    def fail() -> None:
        raise ValueError("no chunk")

    with pytest.raises(ValueError, match="no chunk"):
        fail()


def test_items_are_mapped_at_the_same_time_by_idle_cores() -> None:
    barrier = threading.Barrier(2, timeout=60)

    def meet(item: int) -> tuple[int, int]:
        barrier.wait()
        return item, threading.get_ident()

    (first, own), (second, other) = map_on_idle_cores(meet, [3, 4])
    assert (first, second) == (3, 4)
    assert own == threading.get_ident() != other


def test_items_are_mapped_one_after_the_other_where_no_core_is_idle() -> None:
    def find_thread(_: int) -> int:
        return threading.get_ident()

    own = threading.get_ident()
    assert map_on_idle_cores(find_thread, [1]) == [own]
    with on_one_core():
        assert map_on_idle_cores(find_thread, [1, 2]) == [own, own]


@pytest.mark.parametrize("failing", [1, 2])
def test_errors_of_items_on_idle_cores_are_raised(failing: int) -> None:
    def fail(item: int) -> None:
        if item == failing:
            raise ValueError(f"no item {item}")

    with pytest.raises(ValueError, match=f"no item {failing}"):
        map_on_idle_cores(fail, [1, 2])


THREADS = """
import os, threading
import numpy as np
from nvc_jax.native.float_errors import largest_and_squared_errors
from nvc_jax.native.idle_cores import keeping_core

values, cores = np.ones(1 << 20, np.float32), os.sched_getaffinity(0)

def threads_after_a_kernel():
    largest_and_squared_errors(values, values)
    return len(os.listdir("/proc/self/task"))

os.sched_setaffinity(0, {min(cores)})
at_first = threads_after_a_kernel()
assert threads_after_a_kernel() == at_first, "one core has no others that are idle"
os.sched_setaffinity(0, cores)

ready, finished = threading.Barrier(len(cores) + 1), threading.Event()
@keeping_core
def code():
    ready.wait()
    finished.wait()
busy = [threading.Thread(target=code) for _ in cores]
for thread in busy:
    thread.start()
ready.wait()
assert threads_after_a_kernel() == at_first + len(busy), "all cores are busy"
finished.set()
for thread in busy:
    thread.join()

assert threads_after_a_kernel() > at_first, "idle cores help"
"""


def run(script: str) -> None:
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)


def test_threads_help_on_cores_that_code_no_chunk() -> None:
    run(THREADS)


FORK = """
import os, signal
import numpy as np
from nvc_jax.native.float_errors import largest_and_squared_errors

values = np.ones(1 << 22, np.float32)
expected = largest_and_squared_errors(values, 2 * values)
child = os.fork()
if child == 0:
    signal.alarm(60)
    os._exit(largest_and_squared_errors(values, 2 * values) != expected)
assert os.waitpid(child, 0)[1] == 0
"""


def test_kernels_work_in_a_process_that_was_forked() -> None:
    run(FORK)
