import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvc_jax.chunks.spread_steps import SpreadSteps
from nvc_jax.core.chunk_grid import Region, chunk_regions
from nvc_jax.core.chunk_interfaces import ChunkTarget

WIDTH = 50.0
RATIO = 10 ** (1 / 40)


def make(n: int, n_pilots: int = 0) -> tuple[list[Region], SpreadSteps]:
    """Spread the steps of n chunks in a row."""
    regions = chunk_regions((8 * n,), (8,))
    return regions, SpreadSteps(
        regions, 1 << 15, lambda one: one in regions[:n_pilots], WIDTH, lambda step: WIDTH * step
    )


def own_steps(n: int, step: float, n_pilots: int = 0) -> list[float]:
    """Steps of the chunks, relative to the range, by that of the volume."""
    regions, spread = make(n, n_pilots)
    targets = [spread.target_of(one, ChunkTarget(None, WIDTH * step, is_spread=True)).own for one in regions]
    assert not any(target.is_spread for target in targets)
    return [target.step / WIDTH for target in targets if target.step is not None]


@given(st.floats(1e-4, 2.0), st.integers(4, 40))
def test_chunks_have_two_steps_next_to_each_other_and_one_a_step_between(step: float, n: int) -> None:
    steps = sorted(own_steps(n, step))
    below = 10 ** (math.floor(round(40 * math.log10(step), 3)) / 40)
    assert len(steps) == n
    assert min(steps) >= below * (1 - 1e-9)
    assert max(steps) <= below * RATIO * (1 + 1e-9)
    between = [one for one in steps if below * (1 + 1e-6) < one < below * RATIO * (1 - 1e-6)]
    assert len(between) <= 1
    # Their geometric mean is the step of the volume.
    assert sum(map(math.log, steps)) / n == pytest.approx(math.log(step), abs=1e-3)


def test_steps_grow_with_the_step_of_the_volume_without_jumps() -> None:
    found = [own_steps(9, 0.1 * RATIO ** (i / 90)) for i in range(200)]
    for before, after in itertools.pairwise(found):
        growth = [b / a for a, b in zip(before, after, strict=True)]
        assert min(growth) > 1 - 1e-9
        assert max(growth) < RATIO**0.2


def test_a_few_chunks_change_with_a_small_change_of_the_step() -> None:
    before, after = own_steps(100, 0.1), own_steps(100, 0.1 * RATIO**0.1)
    assert sum(a != b for a, b in zip(before, after, strict=True)) == 10


@pytest.mark.parametrize(("n", "n_pilots"), [(4, 0), (4, 2), (40, 3)])
def test_pilots_keep_the_step_of_the_lesson_for_longest(n: int, n_pilots: int) -> None:
    regions, spread = make(n, n_pilots)
    for place in (-0.4, -0.2, 0.0, 0.2, 0.4):
        target = ChunkTarget(None, WIDTH * 0.1 * RATIO**place, is_spread=True)
        for region in regions[:n_pilots]:
            own, lesson = spread.target_of(region, target)
            assert lesson.step == pytest.approx(WIDTH * 0.1)
            if n > 4:
                assert own == lesson
    middle = spread.middle()
    assert all(region in middle for region in regions[:n_pilots])
    assert len(middle) == n - 2 * (3 * n // 8)


def test_chunks_that_change_are_all_over_the_volume() -> None:
    before, after = own_steps(90, 0.1), own_steps(90, 0.1 * RATIO**0.2)
    changed = [i for i, (a, b) in enumerate(zip(before, after, strict=True)) if a != b]
    assert max(b - a for a, b in itertools.pairwise([-1, *changed, 90])) <= 15


@given(st.floats(1e-4, 2.0))
def test_the_nearest_step_of_the_grid_is_that_of_all_chunks(step: float) -> None:
    _, spread = make(5)
    nearest = spread.nearest(step)
    assert abs(math.log(nearest / step)) <= math.log(RATIO) / 2 * (1 + 1e-9)
    assert own_steps(5, nearest) == pytest.approx([nearest] * 5)


@pytest.mark.parametrize(
    "target",
    [ChunkTarget(None, 3.0), ChunkTarget(0.5, 1.5), ChunkTarget(0.0, None), ChunkTarget(None, 1.0, 0.1)],
)
def test_other_targets_are_those_of_every_chunk(target: ChunkTarget) -> None:
    regions, spread = make(5)
    for region in regions:
        assert spread.target_of(region, target) == (target, target)


@pytest.mark.parametrize(("n", "voxels"), [(3, 1 << 21), (40, (1 << 15) - 1)])
def test_small_volumes_have_one_step(n: int, voxels: int) -> None:
    regions = chunk_regions((8 * n,), (8,))
    spread = SpreadSteps(regions, voxels, lambda _: False, WIDTH, lambda step: WIDTH * step)
    assert not spread.are_spread
    one = ChunkTarget(None, 3.3)
    assert {spread.target_of(region, ChunkTarget(None, 3.3, is_spread=True)) for region in regions} == {
        (one, one)
    }
