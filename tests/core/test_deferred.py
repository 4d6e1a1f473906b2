import subprocess
import sys
import threading
import time

from nvc_jax.core.deferred import Deferred, drop_unused


class Noted:
    """An object that notes the thread that drops it, and lets other threads run meanwhile."""

    def __init__(self, threads: list[str]) -> None:
        self.threads = threads

    def __del__(self) -> None:
        time.sleep(0.01)
        self.threads.append(threading.current_thread().name)


def wait_for(threads: list[str], count: int) -> None:
    end = time.monotonic() + 20
    while len(threads) < count and time.monotonic() < end:
        time.sleep(0.01)


def test_objects_that_another_thread_loses_are_dropped_by_a_thread_of_ours() -> None:
    threads: list[str] = []
    references = [Deferred(Noted(threads)) for _ in range(3)]
    assert references[0].value.threads is threads
    losing = threading.Thread(target=references.clear)
    losing.start()
    losing.join()
    wait_for(threads, 3)
    assert threads == ["nvc_jax drops"] * 3


def test_the_main_thread_drops_objects_at_once() -> None:
    threads: list[str] = []
    reference = Deferred(Noted(threads))
    del reference
    assert threads == ["MainThread"]


def test_what_is_lost_is_dropped_on_request() -> None:
    threads: list[str] = []
    references = [Deferred(Noted(threads)) for _ in range(3)]
    losing = threading.Thread(target=references.clear)
    losing.start()
    losing.join()
    drop_unused()
    wait_for(threads, 3)
    assert set(threads) <= {"MainThread", "nvc_jax drops"}


READING = """
import time
import numpy as np
from nvc_jax.io.lazy import lazy_store

VALUES = np.arange(60).reshape(3, 4, 5)

class Source:
    def __call__(self, index):
        return VALUES[index]

    def __del__(self):
        time.sleep(0.05)  # other threads run, as while a file is closed

for _ in range(20):
    assert (lazy_store(Source(), VALUES.shape, VALUES.dtype, "values").read().result() == VALUES).all()
"""


def test_reading_does_not_wait_for_a_source_that_is_dropped_meanwhile() -> None:
    """The last reference to a source is lost in a thread of TensorStore, which holds a lock."""
    subprocess.run([sys.executable, "-c", READING], check=True, timeout=60)
