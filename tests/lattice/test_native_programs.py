import jax
import jax.numpy as jnp
import numpy as np
import pytest
from lattice_volumes import code_fixed

from nvc_jax.core.shapes import Shape3
from nvc_jax.lattice import items, plan, programs, stream
from nvc_jax.lattice.geometry import ANCHOR_STRIDE, N_LEVEL_GROUPS, lattice_shape
from nvc_jax.lattice.prediction import Rules
from nvc_jax.lattice.weights import default_weights

decode_reference = jax.jit(programs.decode_reference, static_argnums=0)


def make_volume(shape: Shape3) -> np.ndarray:
    """Make waves, with noise in one half and a plateau."""
    z, y, x = np.indices(shape)
    noise = np.random.default_rng(0).normal(0, 6, shape) * (x > shape[2] // 2)
    volume = np.rint(800 * (np.sin(z / 6) * np.cos(y / 9) + np.sin(x / 7)) + noise).astype(np.int64)
    volume[:, : shape[1] // 3] = 17
    return volume


@pytest.mark.parametrize("fraction_bits", [0, 3, 6])
@pytest.mark.parametrize(
    ("shape", "padded"),
    [((33, 20, 70), (40, 24, 72)), ((3, 24, 9), (40, 24, 72)), ((5, 3, 9), (8, 8, 16))],
)
def test_streams_decode_as_by_the_reference(shape: Shape3, padded: Shape3, fraction_bits: int) -> None:
    volume, rng = make_volume(shape), np.random.default_rng(1)
    stored, decoded = code_fixed(volume, fraction_bits, padded, rng.random(shape) > 0.05)
    start = len(stored) * 2 // 3
    hostile = stored[:start] + rng.integers(0, 256, len(stored) - start, np.uint8).tobytes()
    for read, expected in ((stored, decoded), (hostile, None)):
        arguments, _ = stream.parse_lattice(read, shape, padded)
        own = programs.decode(lattice_shape(padded), *arguments)[tuple(map(slice, shape))]
        reference = decode_reference(lattice_shape(padded), *arguments)[tuple(map(slice, shape))]
        np.testing.assert_array_equal(own, reference)
        assert expected is None or (np.asarray(own) == expected).all()


@pytest.mark.parametrize("fraction_bits", [0, 4])
@pytest.mark.parametrize("shape", [(33, 20, 70), (5, 3, 9)])
def test_items_are_those_of_the_reference(shape: Shape3, fraction_bits: int) -> None:
    volume, rng = make_volume(shape), np.random.default_rng(2)
    lattice = lattice_shape(shape)
    widths = [(0, side - n) for side, n in zip(lattice, shape, strict=True)]
    sides = [side // ANCHOR_STRIDE for side in lattice]
    rules = Rules(*map(jnp.int32, (fraction_bits, volume.min(), volume.max())), jnp.array(shape, jnp.int32))
    arguments = (
        np.pad(volume, widths).astype(np.int32),
        np.pad(rng.random(shape) > 0.05, widths),
        rng.integers(-800, 800, sides).astype(np.int32),
        np.stack([default_weights()] * N_LEVEL_GROUPS),
        rules,
    )
    decoded, found = items.find_items(lattice, shape, *arguments)
    reference, expected = items.find_items(lattice, shape, *arguments, by_kernel=False)
    inside = tuple(map(slice, shape))
    np.testing.assert_array_equal(decoded[inside], reference[inside])
    np.testing.assert_array_equal(found.counts, expected.counts)
    np.testing.assert_array_equal(found.histogram, expected.histogram)
    n_items = int(expected.counts.sum())
    np.testing.assert_array_equal(found.values[:n_items], expected.values[:n_items])
    np.testing.assert_array_equal(found.contexts[:n_items], expected.contexts[:n_items])


@pytest.mark.parametrize("fraction_bits", [0, 2, 6])
@pytest.mark.parametrize("kind", ["waves", "extremes", "noise", "tiny"])
def test_samples_and_weights_are_those_of_the_reference(kind: str, fraction_bits: int) -> None:
    rng, shape = np.random.default_rng(3), (5, 3, 9) if kind == "tiny" else (45, 64, 61)
    volume = make_volume(shape)
    if kind == "extremes":
        volume = np.where(rng.random(shape) < 0.5, plan.MAX_FIXED - 1, 1 - plan.MAX_FIXED)
    elif kind == "noise":
        volume = rng.integers(-100, 100, shape)
    counted = rng.random(shape) > (0.01 if kind == "noise" else 0)
    fixed = plan.fix_volume(volume, fraction_bits, shape, counted)
    for thinning in (0, 3):
        own, reference = plan.find(fixed, thinning), plan.find(fixed, thinning, by_kernel=False)
        assert own.by_fit.n_samples.sum() > 0
        jax.tree.map(np.testing.assert_array_equal, own, reference)


@pytest.mark.parametrize("n_lanes", [1, 31, 64])
def test_items_are_pushed_as_by_the_reference(n_lanes: int) -> None:
    rng = np.random.default_rng(n_lanes)
    n, n_contexts = programs.max_items(lattice_shape((8, 8, 8))), 20
    counts = np.zeros(programs.MAX_PASSES, np.int32)
    counts[[3, 17, 18, 39]] = [100, 1, 0, 555]
    frequencies = rng.multinomial(4096 - 64, np.full(64, 1 / 64), 160) + 1
    arguments = (
        jnp.asarray(rng.integers(0, 160, n_contexts), jnp.int32),
        jnp.asarray(rng.integers(0, n_contexts, n), jnp.uint16),
        jnp.asarray(rng.integers(-(2**20), 2**20, n) >> rng.integers(0, 20, n), jnp.int32),
        *(jnp.asarray(counts), jnp.int32(n_lanes), jnp.asarray(frequencies, jnp.uint16)),
    )
    own = programs.push_items(*arguments)
    reference = jax.jit(programs.push_reference, static_argnames="capacity")(
        *arguments, capacity=len(own.words)
    )
    np.testing.assert_array_equal(own.group_words, reference.group_words)
    n_words = int(own.group_words.sum())
    np.testing.assert_array_equal(own.words[:n_words], reference.words[:n_words])
