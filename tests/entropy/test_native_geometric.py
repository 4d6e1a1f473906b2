import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvc_jax.entropy import adaptive_geometric, geometric_adaptation, native_geometric
from nvc_jax.entropy.geometric_adaptation import EXPECTED_UNITS, SHIFT_RATIOS
from nvc_jax.entropy.geometric_distributions import N_SCALES
from nvc_jax.entropy.tokens import MAX_MAGNITUDE
from nvc_jax.entropy.word_stream import WordStream

choose_scales = jax.jit(geometric_adaptation.choose_scales)
start_and_thresholds = jax.jit(geometric_adaptation.start_and_thresholds)
start_and_thresholds_by_kernel = jax.jit(native_geometric.start_and_thresholds)
threshold_reference = jax.jit(geometric_adaptation.start_and_thresholds_reference)
choose_common_scale = jax.jit(geometric_adaptation.choose_common_scale)
common_scale_reference = jax.jit(geometric_adaptation.choose_common_scale_reference)
estimate_bits = jax.jit(native_geometric.estimate_bits)
estimate_reference = jax.jit(geometric_adaptation.estimate_reference)


@jax.jit
def encode_both(values: jax.Array, scales: jax.Array, count: jax.Array) -> tuple:
    """Encode by the kernel and by the reference."""
    stream = adaptive_geometric.encode(values, scales, count)
    common = geometric_adaptation.start_and_thresholds(scales)
    frequencies = adaptive_geometric.coded_frequencies()
    arguments = (values, scales, *common, frequencies, count, stream.n_lanes)
    return stream, adaptive_geometric.encode_reference(*arguments)


@jax.jit
def decode_both(stream: WordStream, values: jax.Array, scales: jax.Array, count: jax.Array) -> tuple:
    common = geometric_adaptation.start_and_thresholds(scales)
    arguments = (stream, scales, *common, adaptive_geometric.coded_frequencies(), count)
    n_blocks = values.shape[1]
    return (
        native_geometric.decode(*arguments, n_blocks=n_blocks),
        adaptive_geometric.decode_reference(*arguments, n_blocks=n_blocks),
    )


@pytest.mark.parametrize("spread", [0.05, 1.0, 300.0, 2e6])
@pytest.mark.parametrize(("n_dims", "n_blocks", "count"), [(64, 300, 300), (64, 300, 111), (5, 40, 40)])
def test_the_kernels_equal_the_reference(spread: float, n_dims: int, n_blocks: int, count: int) -> None:
    rng = np.random.default_rng(n_blocks)
    drawn = np.rint(rng.laplace(0, spread, (n_dims, n_blocks)) * 0.98 ** np.arange(n_dims)[:, None])
    values = np.clip(drawn, -MAX_MAGNITUDE, MAX_MAGNITUDE).astype(np.int32)
    values[:, count:] = 0
    given, scales = jnp.asarray(values), choose_scales(values)
    stream, reference = encode_both(given, scales, jnp.int32(count))
    for own, expected in zip(stream, reference, strict=True):
        np.testing.assert_array_equal(own, expected)
    kernel, reference = decode_both(stream, given, scales, jnp.int32(count))
    np.testing.assert_array_equal(kernel, values)
    np.testing.assert_array_equal(reference, values)

    hostile = stream._replace(words=jnp.asarray(rng.integers(0, 1 << 16, len(stream.words)), jnp.uint16))
    np.testing.assert_array_equal(*decode_both(hostile, given, scales, jnp.int32(count)))


@pytest.mark.parametrize("count", [9000, 4097, 20, 0])
def test_estimates_equal_the_reference(count: int) -> None:
    rng = np.random.default_rng(0)
    values = rng.integers(-1000, 1000, (7, 9000)) * rng.integers(0, 1 << 21, (1, 9000)) // 1000
    values = np.clip(values, -MAX_MAGNITUDE, MAX_MAGNITUDE).astype(np.int32)
    scales = np.arange(7, dtype=np.int32) * 5
    zero, further = np.arange(32, dtype=np.int32) * 9, np.linspace(30, 0.01, 32, dtype=np.float32)
    common = start_and_thresholds(scales)
    arguments = (values, scales, *common, zero, further, np.int32(count))
    np.testing.assert_array_equal(estimate_bits(*arguments), estimate_reference(*arguments))


@given(st.lists(st.integers(0, N_SCALES - 1), min_size=1, max_size=80))
def test_thresholds_equal_the_reference(scales: list[int]) -> None:
    arguments = (np.array(scales, np.int32), EXPECTED_UNITS, SHIFT_RATIOS)
    found, wanted = start_and_thresholds_by_kernel(*arguments), threshold_reference(*arguments)
    for own, expected in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(own, expected)


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([0.0, 0.02, 1.0, 300.0, 2e6]),
    st.sampled_from([1, 500, 5000]),
)
def test_the_common_scale_is_that_of_the_reference(seed: int, spread: float, n_blocks: int) -> None:
    rng = np.random.default_rng(seed)
    of_block = rng.choice([0, 0.1, 1, 9], (1, n_blocks))
    values = np.rint(rng.laplace(0, 1, (16, n_blocks)) * spread * of_block)
    values = np.clip(values, -MAX_MAGNITUDE, MAX_MAGNITUDE).astype(np.int32)
    count = rng.integers(0, n_blocks + 1, dtype=np.int32)
    values[:, count:] = 0
    assert int(choose_common_scale(values, count)) == int(common_scale_reference(values, count))
