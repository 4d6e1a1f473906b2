import platform
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest

from nvc_jax.core.heaps import releasing

PROGRAM = """
import ctypes, sys, threading
from nvc_jax.core.heaps import tune_heaps
if sys.argv[1] == "limited":
    assert tune_heaps(3)
library = ctypes.CDLL(None)
library.malloc.restype = library.fdopen.restype = ctypes.c_void_p
barrier = threading.Barrier(8)
def work():
    library.malloc(1000)
    barrier.wait()  # all threads are alive at once
threads = [threading.Thread(target=work) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
stream = ctypes.c_void_p(library.fdopen(1, b"w"))
library.malloc_info(0, stream)
library.fflush(stream)
"""


def count_heaps(mode: str) -> int:
    command = [sys.executable, "-c", PROGRAM, mode]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.count("<heap nr=")


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have no such heaps")
def test_a_few_threads_share_one_heap() -> None:
    assert count_heaps("unlimited") > 1
    assert count_heaps("limited") == 1


RELEASE = """
import numpy as np
from pathlib import Path
from nvc_jax.core.heaps import release_unused
def resident(): return int(Path("/proc/self/statm").read_text().split()[1])
held = [np.ones(10_000) for _ in range(2000)]  # 160 MB in pieces that glibc does not map one by one
last = np.ones(10_000)
full = resident()
del held
release_unused()
assert resident() < 0.6 * full, (resident(), full)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have no such heaps")
def test_freed_memory_goes_back_to_the_system() -> None:
    subprocess.run([sys.executable, "-c", RELEASE], check=True)


GROWTH = """
import numpy as np
from nvc_jax.core.heaps import HeapWatch
watch = HeapWatch()
def count_20(): return [watch.count_result() for _ in range(20)]
assert not any(count_20())
large = [np.ones(10_000) for _ in range(4500)]  # 360 MB
assert count_20() == [True] + 19 * [False]  # at the next result
larger = [np.ones(10_000) for _ in range(4500)]
assert count_20() == [True] + 19 * [False]
large = [np.ones(10_000) for _ in range(4500)]  # the old pieces are freed when the new ones are there
assert watch.count_result()
larger = [np.ones(10_000) for _ in range(4500)]
assert count_20() == 15 * [False] + [True] + 4 * [False]  # not soon after the last release
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have no such heaps")
def test_memory_is_released_where_the_process_has_grown() -> None:
    subprocess.run([sys.executable, "-c", GROWTH], check=True)


COMPILATION = """
import jax, numpy as np
from pathlib import Path
from nvc_jax.core.heaps import tune_heaps
def resident(): return int(Path("/proc/self/statm").read_text().split()[1])
def leave_unused():
    held, last = [np.ones(10_000) for _ in range(2000)], np.ones(10_000)  # 160 MB
    return resident(), last
assert tune_heaps(3)
for step in ("jaxpr_to_mlir_module", "backend_compile"):
    full, last = leave_unused()
    jax.monitoring.record_event_duration_secs(f"/jax/core/compile/{step}_duration", 0.01)
    assert resident() > 0.9 * full, (resident(), full)
    jax.monitoring.record_event_duration_secs(f"/jax/core/compile/{step}_duration", 3.0)
    assert resident() < 0.6 * full, (resident(), full)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have no such heaps")
def test_unused_memory_goes_back_to_the_system_before_and_after_large_programs_are_compiled() -> None:
    subprocess.run([sys.executable, "-c", COMPILATION], check=True)


LARGE_PAGES = """
from pathlib import Path
from nvc_jax.core.heaps import release_unused, take_large_pages, tune_heaps
def flags_of_heap():
    parts = Path("/proc/self/smaps").read_text().split("VmFlags:")
    return [after.split(chr(10))[0].split() for before, after in zip(parts, parts[1:]) if "[heap]" in before]
assert tune_heaps(3)
assert flags_of_heap() and all("hg" in flags for flags in flags_of_heap())
release_unused()
assert all("hg" in flags for flags in flags_of_heap())
held = [bytes(1 << 22) for _ in range(128)]
take_large_pages()
assert all("hg" in flags for flags in flags_of_heap())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have no such heaps")
@pytest.mark.skipif(
    not Path("/sys/kernel/mm/transparent_hugepage").exists(), reason="the system has no large pages"
)
def test_the_heap_takes_large_pages_before_it_is_used() -> None:
    subprocess.run([sys.executable, "-c", LARGE_PAGES], check=True)


def test_results_pass_and_their_source_is_closed() -> None:
    closed = []

    def count() -> Generator[int, None, None]:
        try:
            yield from range(10)
        finally:
            closed.append(True)

    assert list(releasing(count())) == list(range(10))
    results = releasing(count())
    assert next(results) == 0
    results.close()
    assert len(closed) == 2
