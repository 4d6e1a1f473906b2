from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
import pytest

from nvc_jax.core.device_batches import (
    BATCHES_PER_DEVICE,
    batch_size_in_use,
    count_in_batch,
    pad_to_batch,
    program_bytes,
    run_filled,
    run_in_room,
    share_of_batch,
)
from nvc_jax.core.devices import sharing_out


class Device:
    """A device with a memory of so many bytes, some of them in use."""

    def __init__(self, limit: int, in_use: int = 0) -> None:
        self.limit, self.in_use = limit, in_use

    def memory_stats(self) -> Mapping[str, int]:
        return {"bytes_limit": self.limit, "bytes_in_use": self.in_use, "num_allocs": 7}


@pytest.mark.parametrize(("limit", "in_use"), [(10**9, 0), (10**9, 6 * 10**8), (10**11, 10**10), (10**6, 0)])
def test_batches_fit_into_the_memory_that_is_free(limit: int, in_use: int) -> None:
    bytes_of_one = 10**7
    n = count_in_batch(Device(limit, in_use), bytes_of_one)
    assert n & (n - 1) == 0  # few shapes are compiled
    fits = BATCHES_PER_DEVICE * n * bytes_of_one <= 0.8 * limit - in_use
    assert fits or n == 1
    assert n == 64 or 2 * BATCHES_PER_DEVICE * 2 * n * bytes_of_one > 0.8 * limit - in_use


def test_a_full_device_takes_one_item_at_a_time() -> None:
    assert count_in_batch(Device(10**9, 10**9), 10**6) == 1


def test_a_device_that_states_no_memory_takes_a_few_items() -> None:
    cpu = jax.devices("cpu")[0]
    assert cpu.memory_stats() is None
    assert count_in_batch(cpu, 10**12) == 8
    assert run_in_room(list, range(3), lambda n: 10**15, cpu) == [[0, 1, 2]]


@pytest.mark.parametrize(
    ("limit", "parts"),
    [(1000, [[0, 1, 2, 3, 4]]), (300, [[0, 1], [2], [3, 4]]), (10, [[0], [1], [2], [3], [4]])],
)
def test_batches_without_room_are_run_in_parts(limit: int, parts: list[list[int]]) -> None:
    assert run_in_room(list, range(5), lambda n: 100 * n, Device(limit)) == parts


def test_the_memory_of_a_program_is_that_of_all_its_arrays() -> None:
    numbers = jax.ShapeDtypeStruct((1000,), jnp.float32)
    analysis = jax.jit(lambda x: x + 1).lower(numbers).compile().memory_analysis()
    assert program_bytes(analysis) >= 2 * 4 * 1000
    assert program_bytes(None) == 0


def test_few_numbers_of_items_are_compiled_and_none_beyond_a_batch() -> None:
    padded = {n: pad_to_batch(n, 64) for n in range(1, 65)}
    assert all(n <= of_n < 2 * n or of_n == 8 for n, of_n in padded.items())
    assert set(padded.values()) == {8, 16, 32, 64}
    assert [pad_to_batch(n, 4) for n in (1, 3, 4)] == [4, 4, 4]


def test_cpus_take_one_item_at_a_time() -> None:
    assert batch_size_in_use(1) == 1
    with sharing_out(jax.devices()):
        assert batch_size_in_use(1) == 1
    for device in (jax.devices()[1], "cpu"):
        with jax.default_device(device):
            assert batch_size_in_use(1) == 1


def test_items_are_run_in_parts_of_two_sizes() -> None:
    sizes: list[int] = []

    def negate(items: Sequence[int]) -> list[int]:
        sizes.append(len(items))
        return [-item for item in items]

    for n in range(140):
        assert run_filled(negate, range(n), 64) == [-item for item in range(n)]
    assert set(sizes) == {8, 64}
    sizes.clear()
    run_filled(negate, range(64 + 33), 64)
    assert sizes == [64, 64]  # more than half of a batch
    sizes.clear()
    run_filled(negate, range(64 + 12), 64)
    assert sizes == [64, 8, 8]
    sizes.clear()
    run_filled(negate, range(5), 2)
    assert sizes == [2, 2, 2]
    assert run_filled(negate, [7], 1) == [-7]


def test_items_are_shared_out_among_devices_in_two_batches_each() -> None:
    assert share_of_batch(64, 10_000, 8) == 64
    assert share_of_batch(64, 512, 8) == 32
    assert share_of_batch(64, 100, 8) == 8  # as small as a program is compiled for
    assert share_of_batch(64, 100, 1) == 64
    assert share_of_batch(64, 60, 1) == 32
    assert share_of_batch(4, 10_000, 1) == 4
    assert share_of_batch(4, 2, 1) == 4
    assert share_of_batch(64, 1, 1) == 1
    assert share_of_batch(1, 1000, 1) == 1
