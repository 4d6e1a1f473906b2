import math

import numpy as np
import pytest
from example_chunks import PADDED_SHAPE, smooth_values

from nvc_jax.chunks.candidates import price_of_error, squared_unit
from nvc_jax.chunks.chunk_values import ChunkValues
from nvc_jax.chunks.payload import PayloadKind
from nvc_jax.chunks.prediction import prepare_prediction
from nvc_jax.core.chunk_interfaces import ChunkTarget

CHUNK = ChunkValues.examine(smooth_values((17, 18, 35)).astype(np.float32), ())


def test_costs_are_of_the_right_order() -> None:
    prediction = prepare_prediction(CHUNK, ChunkTarget(0.01, None), PADDED_SHAPE)
    assert prediction is not None
    coded = prediction.coded
    assert coded is not None
    kind, body, decoded, max_error = coded
    assert kind == PayloadKind.LATTICE
    assert decoded is not None
    assert np.abs(decoded - CHUNK.values).max() == max_error
    assert max_error is not None
    assert max_error <= 0.01
    assert 0.6 < 8 * len(body) / prediction.cost < 1.7


def test_errors_have_a_price_without_a_bound() -> None:
    step = 0.1 / 0.37
    bounded, free = (
        prepare_prediction(CHUNK, target, PADDED_SHAPE)
        for target in (ChunkTarget(0.1, None), ChunkTarget(None, step))
    )
    assert bounded is not None
    assert free is not None
    assert free.max_error == pytest.approx(0.1)
    assert free.cost > bounded.cost


def test_wide_ranges_are_left_to_uniform_quantisation_and_exact_floats_to_others() -> None:
    wide = ChunkValues.examine(CHUNK.values.astype(np.float64), ())
    prediction = prepare_prediction(wide, ChunkTarget(1e-9, None), PADDED_SHAPE)
    assert prediction is not None
    assert prediction.fixed is None
    coded = prediction.coded
    assert coded is not None
    assert coded[0] == PayloadKind.UNIFORM
    assert prepare_prediction(CHUNK, ChunkTarget(0.0, None), PADDED_SHAPE) is None


def test_a_lattice_is_worth_a_try_where_its_cost_is_near_that_of_the_transform() -> None:
    prediction = prepare_prediction(CHUNK, ChunkTarget(0.01, None), PADDED_SHAPE)
    assert prediction is not None
    assert 0.8 < prediction.rough_cost / prediction.cost < 1.25
    for share, is_worth in ((0.8, False), (1.2, True), (math.inf, True)):
        assert prediction.may_cost_less_than(share * prediction.cost) == is_worth


@pytest.mark.parametrize(
    ("max_error", "kind", "is_certain"),
    [(0.1, PayloadKind.RANKS, True), (0.3, PayloadKind.RANKS, False), (0.7, PayloadKind.LATTICE, False)],
)
def test_values_far_apart_are_coded_by_ranks(max_error: float, kind: PayloadKind, is_certain: bool) -> None:
    counts = ChunkValues.examine(np.rint(40 * CHUNK.values), ())
    prediction = prepare_prediction(counts, ChunkTarget(max_error, None), PADDED_SHAPE)
    assert prediction is not None
    assert prediction.is_certain == is_certain
    coded = prediction.coded
    assert coded is not None
    assert coded[0] == kind
    assert coded[2] is not None
    assert np.abs(coded[2] - counts.values).max() <= (0 if kind == PayloadKind.RANKS else max_error)
    assert 0.6 < 8 * len(coded[1]) / prediction.cost < 1.7


def noisy_chunk() -> ChunkValues:
    """Make a chunk of noisy waves above noisy ground."""
    shape = (64, 64, 64)
    values = smooth_values(shape) + np.random.default_rng(0).normal(0, 0.02, shape)
    return ChunkValues.examine(np.maximum(values, 0.6).astype(np.float32), ())


def test_a_trial_tells_without_a_bound_what_a_lattice_costs() -> None:
    chunk, target = noisy_chunk(), ChunkTarget(None, 0.1)
    prediction = prepare_prediction(chunk, target, (64, 64, 64))
    assert prediction is not None
    assert prediction.is_tried
    coded = prediction.coded
    assert coded is not None
    assert coded.decoded is not None
    squared_error = float(np.square(coded.decoded.astype(float) - chunk.values).sum())
    cost = 8 * len(coded.body) + price_of_error(squared_error / squared_unit(target) ** 2, target)
    assert 0.88 < prediction.tried_cost / cost < 1.1
    assert abs(prediction.tried_cost - cost) < abs(prediction.rough_cost - cost)


def test_a_lattice_is_worth_a_try_where_a_trial_says_so() -> None:
    prediction = prepare_prediction(noisy_chunk(), ChunkTarget(None, 0.1), (64, 64, 64))
    assert prediction is not None
    tried = prediction.tried_cost
    for share, is_worth in ((0.98, False), (1.02, True), (math.inf, True)):
        assert prediction.may_cost_less_than(share * tried) == is_worth
    assert prediction.may_cost_less_than(0.98 * tried, 1.0, tried_share=0.95)
    assert not prediction.may_cost_less_than(0.98 * tried, 1.1 * tried / prediction.rough_cost, 0.95)


@pytest.mark.parametrize("target", [ChunkTarget(0.1, None), ChunkTarget(None, 1e-3), ChunkTarget(None, 50.0)])
def test_there_is_no_trial_under_a_bound_and_of_very_many_or_few_bits(target: ChunkTarget) -> None:
    prediction = prepare_prediction(noisy_chunk(), target, (64, 64, 64))
    assert prediction is not None
    assert not prediction.is_tried
