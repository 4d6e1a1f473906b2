import jax
import numpy as np
import pytest

from nvc_jax.training.mesh import (
    describe_topology,
    divide_rows,
    gather_from_processes,
    is_first_process,
    local_rows,
    make_mesh,
    map_over_devices,
    replicate,
    share_rows,
)


def test_devices_share_rows_in_equal_parts() -> None:
    mesh = make_mesh()
    assert local_rows(mesh, 6) == slice(0, 6)
    rows = np.arange(12, dtype=np.float32).reshape(2, 6)
    shared = share_rows(mesh, rows, axis=1)
    np.testing.assert_array_equal(shared, rows)
    parts = {shard.device: np.asarray(shard.data) for shard in shared.addressable_shards}
    for index, device in enumerate(jax.devices()):
        np.testing.assert_array_equal(parts[device], rows[:, 3 * index : 3 * index + 3])


def test_a_tree_is_put_on_every_device() -> None:
    tree = replicate(make_mesh(), {"a": np.arange(3)})
    assert len(tree["a"].addressable_shards) == len(jax.devices())
    assert tree["a"].is_fully_replicated


def test_devices_keep_their_order() -> None:
    mesh = make_mesh(jax.devices()[::-1])
    assert mesh.devices.tolist() == jax.devices()
    assert describe_topology(mesh)["devices"] == len(jax.devices())
    with pytest.raises(ValueError, match="`devices`"):
        make_mesh([])


def test_one_process_gathers_its_own_array() -> None:
    assert is_first_process()
    array = np.array([[1.5, 2.0**-60]])
    np.testing.assert_array_equal(gather_from_processes(array), array[None])


def test_rows_that_all_processes_have_are_divided_and_filled_up() -> None:
    divided = divide_rows(make_mesh(), np.arange(3))
    np.testing.assert_array_equal(divided, [0, 1, 2, 0])
    assert {shard.data.shape for shard in divided.addressable_shards} == {(2,)}


def test_each_device_computes_for_one_item() -> None:
    mesh = make_mesh()
    rows = share_rows(mesh, np.arange(2, dtype=np.float32))
    run = map_over_devices(mesh, scale)
    for is_gathered in (True, False):
        result = run(np.float32(3), (rows,), is_gathered=is_gathered)
        np.testing.assert_array_equal(result, [0, 3])
        assert result.is_fully_replicated == is_gathered
    assert map_over_devices(mesh, scale) is run


def scale(factor: jax.Array, item: jax.Array) -> jax.Array:
    return factor * item
