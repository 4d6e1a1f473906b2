import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from spectral_blocks import MODEL, N_CLASSES, layout_for

from nvc_jax.core.shapes import Shape3
from nvc_jax.spectral import scan_order
from nvc_jax.transform import block_layout
from nvc_jax.transform.block_layout import N_COEFFICIENTS

SHAPE: Shape3 = (16, 24, 32)
# Compiled as a whole: one program for a shape takes less time than one for each operation.
make_scan_order, find_ends = jax.jit(scan_order.make_scan_order), jax.jit(scan_order.find_ends)
make_scan_order_reference = jax.jit(scan_order.make_scan_order_reference)
make_layout = jax.jit(block_layout.make_layout, static_argnums=0)
to_scan_order, from_scan_order = jax.jit(scan_order.to_scan_order), jax.jit(scan_order.from_scan_order)
count_coded, make_block_queue = jax.jit(scan_order.count_coded), jax.jit(scan_order.make_block_queue)
key_count, key_table = jax.jit(scan_order.key_count), jax.jit(scan_order.key_table)


@given(st.tuples(*[st.integers(1, 40)] * 3), st.integers(0, 2**32 - 1))
def test_the_kernel_equals_the_reference(valid_shape: Shape3, seed: int) -> None:
    order = np.random.default_rng(seed).permutation(np.arange(1, N_COEFFICIENTS, dtype=np.int32))
    layout = make_layout((5, 5, 5), jnp.array(valid_shape, jnp.int32))
    scan = make_scan_order(MODEL._replace(order=jnp.asarray(order)), layout)
    expected = make_scan_order_reference(layout.valid_shape, jnp.asarray(order))
    for made, wanted in zip(scan, expected, strict=True):
        np.testing.assert_array_equal(made, wanted)
        assert (made.shape, made.dtype) == (wanted.shape, wanted.dtype)


def test_ends_follow_the_last_integer_that_is_not_zero() -> None:
    layout = layout_for((8, 8, 32), (8, 8, 32))
    scan = make_scan_order(MODEL, layout)
    integers = np.zeros((4, N_COEFFICIENTS), np.int32)
    integers[:, 0] = 7  # the first one does not count
    order = np.asarray(MODEL.order)
    integers[1, order[0]], integers[2, order[16]], integers[3, order[510]] = 1, -1, 3
    ends = find_ends(scan, layout, jnp.asarray(integers) != 0)
    np.testing.assert_array_equal(ends, [0, 1, 2, scan_order.N_ENDS_OF_BLOCK - 1])
    np.testing.assert_array_equal(count_coded(scan, layout, ends), [0, 16, 32, 511])


@pytest.mark.parametrize("valid_shape", [SHAPE, (13, 24, 29), (5, 17, 8)])
def test_coded_integers_come_back_and_all_others_are_zero(valid_shape: Shape3) -> None:
    layout = layout_for(SHAPE, valid_shape)
    n = len(layout.partial_type)
    rng = np.random.default_rng(0)
    integers = jnp.asarray(rng.integers(-9, 10, (n, N_COEFFICIENTS)), jnp.int32)
    scan = make_scan_order(MODEL, layout)
    ends = jnp.asarray(rng.integers(0, scan_order.N_ENDS_OF_BLOCK, n), jnp.int32)
    counts = count_coded(scan, layout, ends)
    assert not np.asarray(counts)[~np.asarray(layout.inside)].any()

    ordered = np.asarray(to_scan_order(scan, layout, integers))
    coded = np.concatenate([row[:count] for row, count in zip(ordered, counts, strict=True)])
    coded = jnp.asarray(np.pad(coded, (0, n * N_COEFFICIENTS - len(coded))))
    restored = np.asarray(from_scan_order(scan, layout, counts, coded))
    positions = np.asarray(scan.positions)[np.asarray(layout.partial_type)]
    is_coded = (positions >= 0) & (positions < np.asarray(counts)[:, None])
    np.testing.assert_array_equal(restored, np.where(is_coded, integers, 0))


def test_queues_find_the_block_and_the_table_of_every_integer() -> None:
    layout = layout_for(SHAPE, (13, 24, 29))
    n = len(layout.partial_type)
    rng = np.random.default_rng(1)
    classes = jnp.asarray(rng.integers(0, N_CLASSES, n), jnp.int32)
    scan = make_scan_order(MODEL, layout)
    counts = count_coded(scan, layout, jnp.asarray(rng.integers(0, 4, n), jnp.int32))
    queue = make_block_queue(layout, classes, counts)
    assert int(queue.total) == int(jnp.sum(counts))

    blocks = [block for block in range(n) for _ in range(int(counts[block]))]
    positions = [position for block in range(n) for position in range(int(counts[block]))]
    index, position = queue.locate(jnp.arange(len(blocks), dtype=jnp.int32))
    np.testing.assert_array_equal(position, positions)
    np.testing.assert_array_equal(np.asarray(queue.offsets)[np.asarray(index)] // 511, blocks)
    keys = queue.keys[index]
    np.testing.assert_array_equal(key_count(keys), np.asarray(counts)[blocks])
    types = np.asarray(layout.partial_type)[blocks]
    coefficients = np.asarray(scan.coefficients)[types, positions]
    expected = np.asarray(MODEL.tables)[np.asarray(classes)[blocks], coefficients]
    np.testing.assert_array_equal(key_table(MODEL, scan, keys, position), expected)
