import dataclasses

import numpy as np
import pytest

from nvc_jax.training.stream import BatchStream


@dataclasses.dataclass
class Numbers:
    """Source whose blocks are their own numbers; it counts how often each region is read."""

    counts: np.ndarray
    block_shape = ()
    sources = ()

    def __post_init__(self) -> None:
        self.reads = np.zeros(len(self.counts), int)

    def read(self, region: int) -> "Region":
        self.reads[region] += 1
        return Region(int(self.counts[:region].sum()))


@dataclasses.dataclass
class Region:
    first: int

    def take(self, blocks: np.ndarray) -> np.ndarray:
        return (self.first + blocks).astype(np.float32)


COUNTS = np.array([5, 0, 17, 30, 1, 11, 0, 6])
SEED = (3, 4)


def load_epoch(stream: BatchStream, epoch: int = 0, at_once: int = 4) -> np.ndarray:
    n = stream.batches_per_epoch
    return np.concatenate(
        [stream.load(epoch, range(start, min(start + at_once, n))) for start in range(0, n, at_once)]
    )


def make_stream(rows: slice = slice(0, 8), seed: tuple[int, ...] = SEED) -> BatchStream:
    return BatchStream(Numbers(COUNTS), 8, rows, seed)


def test_an_epoch_visits_every_block_at_most_once_and_leaves_out_less_than_a_batch() -> None:
    batches = load_epoch(make_stream())
    assert batches.shape == (70 // 8, 8)
    assert len(np.unique(batches)) == batches.size
    assert set(batches.ravel()) <= set(range(70))


def test_orders_depend_on_the_epoch_and_on_the_seed_alone() -> None:
    first = load_epoch(make_stream())
    np.testing.assert_array_equal(first, load_epoch(make_stream(), at_once=3))
    for other in (load_epoch(make_stream(), epoch=1), load_epoch(make_stream(seed=(3, 5)))):
        assert not np.array_equal(first, other)


@pytest.mark.parametrize("n_processes", [2, 4, 8])
def test_the_rows_of_all_processes_are_the_batches_of_one(n_processes: int) -> None:
    size = 8 // n_processes
    parts = [load_epoch(make_stream(slice(start, start + size))) for start in range(0, 8, size)]
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), load_epoch(make_stream()))


def test_any_step_continues_the_sequence() -> None:
    whole = load_epoch(make_stream(), epoch=2)
    np.testing.assert_array_equal(make_stream().load(2, range(5, 7)), whole[5:7])


def test_a_process_reads_its_regions_once_in_an_epoch_and_no_others() -> None:
    counts = np.full(64, 9)
    reads = []
    for start in (0, 4):
        source = Numbers(counts)
        load_epoch(BatchStream(source, 8, slice(start, start + 4), SEED))
        reads.append(source.reads)
    assert max(map(max, reads)) == 1
    assert (np.minimum(*reads) > 0).sum() <= 1  # a region that ends one row and begins the next
    assert all(read.sum() <= 33 for read in reads)


def test_a_batch_has_blocks_of_as_many_regions_as_rows() -> None:
    batches = load_epoch(BatchStream(Numbers(np.full(64, 9)), 8, slice(0, 8), SEED))
    assert all(len(np.unique(batch // 9)) == 8 for batch in batches)
