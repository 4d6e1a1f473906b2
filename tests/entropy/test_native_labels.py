import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nvc_jax.core.shapes import Shape3
from nvc_jax.entropy import label_coding
from nvc_jax.entropy.label_walk import Volume, padded_sides

encode_reference = jax.jit(label_coding.encode_reference, static_argnums=0)
decode_reference = jax.jit(label_coding.decode_reference, static_argnums=0)


def make_labels(shape: Shape3, n_labels: int) -> np.ndarray:
    """Make regions of labels with some noise, and a slice that repeats."""
    rng = np.random.default_rng(n_labels)
    z, y, x = np.indices(shape)
    labels = (((z + y) // 7 + x // 9) % n_labels).astype(np.uint8)
    is_noise = rng.random(shape) < 0.03
    labels[is_noise] = rng.integers(0, n_labels, is_noise.sum())
    labels[3 % shape[0]] = labels[2 % shape[0]]
    return labels


@pytest.mark.parametrize("n_labels", [2, 3, 200])
@pytest.mark.parametrize(
    ("shape", "padded"), [((20, 33, 40), (24, 40, 40)), ((5, 64, 17), (8, 64, 24)), ((1, 7, 9), (8, 8, 16))]
)
def test_the_kernels_equal_the_reference(shape: Shape3, padded: Shape3, n_labels: int) -> None:
    labels, sides = make_labels(shape, n_labels), padded_sides(padded)
    before = np.concatenate([np.zeros_like(labels[:1]), labels[:-1]])
    repeats = np.pad((labels == before).all(axis=(1, 2)), (0, padded[0] - shape[0]))
    volume = Volume(jnp.array(shape, jnp.int32), jnp.asarray(repeats), jnp.int32(n_labels))
    filled = jnp.asarray(np.pad(labels, [(0, n - side) for n, side in zip(sides, shape, strict=True)]))
    check_equal = functools.partial(jax.tree.map, np.testing.assert_array_equal)

    stream, escaped, n_escaped = label_coding.encode(padded, volume, filled)
    check_equal((stream, escaped, n_escaped), encode_reference(padded, volume, filled))
    decoded = label_coding.decode(padded, volume, stream, escaped)
    check_equal(decoded, decode_reference(padded, volume, stream, escaped))
    np.testing.assert_array_equal(decoded[0][tuple(map(slice, shape))], labels)
    assert int(decoded[1]) == int(n_escaped)
    assert bool(decoded[2])

    words = np.random.default_rng(0).integers(0, 1 << 16, len(stream.words))
    hostile = stream._replace(words=jnp.asarray(words, jnp.uint16))
    arguments = (padded, volume, hostile, escaped)
    check_equal(label_coding.decode(*arguments), decode_reference(*arguments))
