import math

import numpy as np
import pytest
from example_chunks import smooth_values

from nvc_jax.chunks.begun_chunk import BegunChunk
from nvc_jax.chunks.chunk_values import ChunkValues
from nvc_jax.chunks.experience import NO_EXPERIENCE, Experience
from nvc_jax.chunks.prepared_chunk import BodyValues
from nvc_jax.core.chunk_interfaces import ChunkTarget

SHAPE = (40, 40, 48)
TARGET = ChunkTarget(None, 0.2)


def begin(experience: Experience, target: ChunkTarget = TARGET) -> BegunChunk:
    """Begin a chunk of waves and noise that is not coded yet."""
    noise = np.random.default_rng(0).normal(0, 0.02, SHAPE)
    chunk = ChunkValues.examine((smooth_values(SHAPE) + noise).astype(np.float32), ())
    values = BodyValues(chunk, chunk.valid, None, SHAPE)
    return BegunChunk(values, prediction=values.prediction(target), experience=experience)


def test_a_trial_tells_pilots_what_a_lattice_costs_that_is_not_coded() -> None:
    begun = begin(Experience(learns=True))
    prediction = begun.prediction
    assert prediction is not None
    special_bits = 8 * len(begun.values.special_values)
    assert prediction.tried_cost > prediction.rough_cost
    assert begun.lattice_cost(None, prediction.rough_cost, TARGET) == prediction.tried_cost + special_bits


@pytest.mark.parametrize(("target", "share"), [(TARGET, 0.5), (ChunkTarget(0.1, None), 1.0)])
def test_nothing_is_learned_of_lattices_that_are_far_dearer_or_under_a_bound(
    target: ChunkTarget, share: float
) -> None:
    begun = begin(Experience(learns=True), target)
    assert begun.prediction is not None
    assert math.isinf(begun.lattice_cost(None, share * begun.prediction.rough_cost, target))


def test_trials_decide_of_many_chunks_sooner_than_of_few() -> None:
    assert begin(NO_EXPERIENCE).tried_share < begin(Experience()).tried_share < 1


def test_pilots_tell_how_much_dearer_a_lattice_is() -> None:
    begun, bounded = begin(Experience(learns=True)), ChunkTarget(0.1, None)
    assert begun.prediction is not None
    n_values = math.prod(SHAPE)
    assert begun.compare(None, begun.prediction.rough_cost / 2, TARGET)
    assert begun.compare(None, math.inf, TARGET)
    ratios = [one.ratio for one in begun.experience.compared]
    assert ratios == [pytest.approx(2), 0]
    assert begun.experience.compared[0].cost_of_value == begun.prediction.rough_cost / 2 / n_values

    experienced = begin(Experience(compared=begun.experience.compared[:1]))
    assert experienced.is_for_transform(TARGET)
    assert experienced.is_for_transform(TARGET, begun.prediction.rough_cost / 3)
    assert not experienced.is_for_transform(TARGET, begun.prediction.rough_cost / 10)
    assert not experienced.is_for_transform(bounded)
    assert not begun.is_for_transform(TARGET)
