import numpy as np
import pytest
from example_chunks import PADDED_SHAPE, smooth_values

from nvc_jax.chunks.chunk_values import ChunkValues
from nvc_jax.chunks.payload import PayloadKind
from nvc_jax.chunks.prediction import encode_prediction, plan_prediction
from nvc_jax.chunks.transform_body import CodedBody
from nvc_jax.core.chunk_interfaces import ChunkTarget

CHUNK = ChunkValues.examine(smooth_values((17, 18, 35)).astype(np.float32), ())


def test_costs_are_of_the_right_order() -> None:
    prediction = plan_prediction(CHUNK, ChunkTarget(0.01, None), PADDED_SHAPE)
    assert prediction is not None
    coded = encode_prediction(CHUNK, prediction, PADDED_SHAPE)
    assert coded is not None
    kind, body, decoded = coded
    assert kind == PayloadKind.LATTICE
    assert decoded is not None
    assert np.abs(decoded - CHUNK.values).max() <= 0.01
    assert 0.6 < 8 * len(body) / prediction.cost < 1.7


def test_errors_have_a_price_without_a_bound() -> None:
    step = 0.1 / 0.37
    bounded, free = (
        plan_prediction(CHUNK, target, PADDED_SHAPE)
        for target in (ChunkTarget(0.1, None), ChunkTarget(None, step))
    )
    assert bounded is not None
    assert free is not None
    assert free.max_error == pytest.approx(0.1)
    assert free.cost > bounded.cost


def test_wide_ranges_are_left_to_uniform_quantisation_and_exact_floats_to_others() -> None:
    wide = ChunkValues.examine(CHUNK.values.astype(np.float64), ())
    prediction = plan_prediction(wide, ChunkTarget(1e-9, None), PADDED_SHAPE)
    assert prediction is not None
    assert prediction.plan is None
    coded = encode_prediction(wide, prediction, PADDED_SHAPE)
    assert coded is not None
    assert coded[0] == PayloadKind.UNIFORM
    assert plan_prediction(CHUNK, ChunkTarget(0.0, None), PADDED_SHAPE) is None


def test_only_under_a_bound_a_lattice_is_below_the_transform() -> None:
    prediction = plan_prediction(CHUNK, ChunkTarget(0.1, None), PADDED_SHAPE)
    assert prediction is not None
    dear, cheap = (CodedBody(bytes(n), lambda: None) for n in (CHUNK.values.nbytes, 1))
    assert prediction.is_below(dear, ChunkTarget(0.1, None))
    assert not prediction.is_below(cheap, ChunkTarget(0.1, None))
    assert not prediction.is_below(dear, ChunkTarget(None, 0.1))
