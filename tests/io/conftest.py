"""Checks that the tests of several formats share."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tensorstore as ts

N_THREADS = 4


@pytest.fixture
def read_planes_by_threads() -> Callable[[ts.TensorStore], np.ndarray]:
    """A function that reads the first planes of a store, each by a thread of its own at the same time."""

    def read_planes(store: ts.TensorStore) -> np.ndarray:
        together = threading.Barrier(N_THREADS)

        def read(z: int) -> np.ndarray:
            together.wait()
            return store[z].read().result()

        with ThreadPoolExecutor(N_THREADS) as pool:
            return np.stack(list(pool.map(read, range(N_THREADS))))

    return read_planes
