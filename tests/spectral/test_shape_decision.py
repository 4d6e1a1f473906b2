import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nvc_jax.core.shapes import Shape3
from nvc_jax.entropy.tokens import MAX_MAGNITUDE
from nvc_jax.spectral import shape_decision
from nvc_jax.spectral.dc_costs import sum_blocks
from nvc_jax.spectral.encoded_stream import MIN_STEP
from nvc_jax.spectral.encoder_options import DEFAULT_OPTIONS, EncoderOptions
from nvc_jax.transform.lapped_filter import FILTERS
from nvc_jax.transform.segments import SEGMENT_LENGTHS
from nvc_jax.transform.separable import Original, TransformShape

SHAPE = (64, 64, 64)
STEP = 0.02

choose_shape = jax.jit(shape_decision.choose_shape, static_argnames="options")


def choose(
    volume: np.ndarray,
    step: float = STEP,
    valid_shape: Shape3 = SHAPE,
    options: EncoderOptions = DEFAULT_OPTIONS,
) -> tuple[list[int], list[str]]:
    """Lengths in voxels and names of filters of the chosen shape."""
    shape, cost = choose_shape(
        jnp.asarray(volume, jnp.float32),
        jnp.float32(step),
        jnp.array(valid_shape, jnp.int32),
        options=options,
    )
    assert cost.dtype == jnp.float32
    assert isinstance(shape, TransformShape)
    assert shape.lengths.dtype == shape.filters.dtype == jnp.int32
    return [SEGMENT_LENGTHS[i] for i in shape.lengths], [FILTERS[i] for i in shape.filters]


def noise(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.5, 0.5, SHAPE)


def sparse(share: float) -> np.ndarray:
    """Zeros but for a share of the voxels."""
    rng = np.random.default_rng(0)
    return np.where(rng.random(SHAPE) < share, rng.choice([-0.5, 0.5], SHAPE), 0)


def smooth_along(axis: int) -> np.ndarray:
    """A few rows that change slowly along one axis, in a volume of zeros."""
    position = np.expand_dims(np.arange(64), [other for other in range(3) if other != axis])
    rows = np.take(sparse(0.02), [0], axis=axis)
    return rows * np.cos(position * np.pi / 128)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_segments_are_long_along_an_axis_on_which_the_volume_is_smooth(axis: int) -> None:
    lengths, _ = choose(smooth_along(axis))
    others = [length for other, length in enumerate(lengths) if other != axis]
    assert lengths[axis] >= 32
    assert max(others) < lengths[axis]


def test_segments_are_short_where_a_volume_is_0_but_for_few_voxels() -> None:
    lengths, filters = choose(sparse(0.002))
    assert lengths == [8, 8, 8]
    assert filters == ["none"] * 3


def test_smooth_volumes_are_filtered_where_segments_meet() -> None:
    z, y, x = np.indices(SHAPE)
    volume = np.sin(z / 9) * np.cos(y / 11) * np.sin(x / 7) / 2
    lengths, filters = choose(volume, options=EncoderOptions(segment_lengths=(8,)))
    assert lengths == [8, 8, 8]
    assert "none" not in filters


def test_options_with_one_candidate_are_respected() -> None:
    for length in SEGMENT_LENGTHS:
        lengths, _ = choose(noise(), options=EncoderOptions(segment_lengths=(length,)))
        assert lengths == [length] * 3
    for name in FILTERS:
        _, filters = choose(noise(), options=EncoderOptions(segment_lengths=(8, 32), filters=(name,)))
        assert filters == [name] * 3
    only = EncoderOptions(segment_lengths=(16,), filters=(FILTERS[-1],))
    assert choose(noise(), options=only) == ([16] * 3, [FILTERS[-1]] * 3)


def test_only_candidates_are_chosen() -> None:
    options = EncoderOptions(segment_lengths=(16, 64), filters=("orthonormal", "biorthogonal"))
    for volume in (noise(), smooth_along(1)):
        lengths, filters = choose(volume, options=options)
        assert set(lengths) <= {16, 64}
        assert set(filters) <= {"orthonormal", "biorthogonal"}


def test_the_same_volume_has_the_same_shape() -> None:
    assert choose(smooth_along(2)) == choose(smooth_along(2))


def test_voxels_outside_the_volume_do_not_count() -> None:
    volume, valid_shape = smooth_along(0), (64, 40, 21)
    other = noise(1)
    other[:, :40, :21] = volume[:, :40, :21]
    padded = volume.copy()
    padded[:, 40:], padded[:, :, 21:] = 0, 0
    assert choose(padded, valid_shape=valid_shape)[0][0] >= 32
    assert choose(other, valid_shape=valid_shape)[0][0] >= 32


def test_a_volume_smaller_than_a_column_has_a_shape() -> None:
    volume = noise()[:8, :8, :8]
    lengths, filters = choose(volume, valid_shape=(3, 8, 1))
    assert len(lengths) == len(filters) == 3


def test_means_of_segments_can_be_coded_at_the_smallest_step() -> None:
    z, y, x = np.indices(SHAPE)
    volume = np.cos((z + y + x) / 100) / 2
    lengths, _ = choose(volume, step=MIN_STEP)
    longest = np.prod([1.5 * length for length in lengths])
    assert np.sqrt(longest) / 2 / MIN_STEP <= MAX_MAGNITUDE
    assert min(choose(volume, step=0.001)[0]) >= 64


@pytest.mark.parametrize("knows_sums", [False, True])
@pytest.mark.parametrize("axis", [0, 2])
def test_shapes_that_gpus_choose_cost_as_little(axis: int, knows_sums: bool) -> None:
    original = Original(jnp.asarray(smooth_along(axis), jnp.float32), jnp.float32(-0.5), jnp.float32(0.5))
    arguments = (jax.jit(Original.padded)(original), jnp.float32(STEP), jnp.array(SHAPE, jnp.int32))
    sums = jax.jit(sum_blocks)(arguments[0], arguments[2]) if knows_sums else None
    shape, cost = jax.jit(shape_decision.choose_shape_by_axes)(*arguments, original, sums)
    expected, of_expected = jax.jit(shape_decision.choose_shape_reference)(*arguments)
    assert float(cost) == pytest.approx(float(of_expected), rel=0.1)
    assert SEGMENT_LENGTHS[int(shape.lengths[axis])] == SEGMENT_LENGTHS[int(expected.lengths[axis])]
