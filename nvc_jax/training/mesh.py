"""Devices that share a training run: a mesh of one axis, over the devices of one process or of many.

Every process runs the same program on its own part of each batch. Batches, and so the losses, do not depend
on the number of devices or processes; sums over devices differ in rounding only.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

AXIS = "data"
"""Name of the mesh's axis, along which the items of a batch are shared."""

T = TypeVar("T")


def make_mesh(devices: Sequence[jax.Device] | None = None) -> Mesh:
    """Make the mesh of a training run.

    Args:
        devices: that share the work; None for all devices of all processes.

    Raises:
        ValueError: no devices, or none of this process.
    """
    devices = jax.devices() if devices is None else list(devices)
    if all(device.process_index != jax.process_index() for device in devices):
        raise ValueError(f"`devices` (={devices}) must hold a device of each process; None takes all of them")
    # The devices of a process lie side by side, so that a process loads one range of a batch.
    ordered = sorted(devices, key=lambda device: (device.process_index, device.id))
    return Mesh(np.array(ordered), (AXIS,), axis_types=(AxisType.Auto,))


def replicate(mesh: Mesh, tree: T) -> T:
    """Put a tree of arrays, which is the same in all processes, on every device."""
    return jax.device_put(tree, NamedSharding(mesh, PartitionSpec()))


def local_rows(mesh: Mesh, n_rows: int) -> slice:
    """Find the rows of a batch that this process's devices work on.

    Args:
        mesh: from ``make_mesh``.
        n_rows: of the batch; a multiple of the number of devices.
    """
    parts = row_sharding(mesh, axis=0).addressable_devices_indices_map((n_rows,)).values()
    bounds = [part[0].indices(n_rows)[:2] for part in parts if part is not None]
    return slice(min(start for start, _ in bounds), max(stop for _, stop in bounds))


def row_sharding(mesh: Mesh, axis: int) -> NamedSharding:
    """Return the sharding of arrays whose ``axis`` counts the rows of a batch."""
    return NamedSharding(mesh, PartitionSpec(*[None] * axis, AXIS))


def share_rows(mesh: Mesh, rows: np.ndarray, *, axis: int = 0) -> jax.Array:
    """Make an array of all processes' rows, each on the device that works on it.

    Args:
        mesh: from ``make_mesh``.
        rows: those that ``local_rows`` gives this process.
        axis: of ``rows`` that counts them.
    """
    return jax.make_array_from_process_local_data(row_sharding(mesh, axis), rows)


def divide_rows(mesh: Mesh, array: np.ndarray) -> jax.Array:
    """Divide the rows of an array, which all processes have, among the devices; zeros fill up the last part.

    Returns:
        As many rows as a multiple of the number of devices.
    """
    n_padding = -len(array) % mesh.size
    padded = np.pad(array, [(0, n_padding), *[(0, 0)] * (array.ndim - 1)])
    return jax.device_put(padded, row_sharding(mesh, axis=0))


@functools.lru_cache
def map_over_devices(mesh: Mesh, function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function so that each device computes it for one item.

    Args:
        mesh: from ``make_mesh``.
        function: of what all items share, and of the arrays of one item.

    Returns:
        A function of what all items share, which is the same in all processes, and of a tuple of arrays whose
        first axis counts devices, from ``share_rows``. Its results are stacked along such an axis: on every
        device, or with ``is_gathered=False`` each on its own.
    """

    def on_device(shared: Any, rows: tuple[jax.Array, ...]) -> Any:
        results = function(shared, *(row[0] for row in rows))
        return jax.tree.map(lambda leaf: leaf[None], results)

    mapped = jax.shard_map(
        on_device, mesh=mesh, in_specs=(PartitionSpec(), PartitionSpec(AXIS)), out_specs=PartitionSpec(AXIS)
    )
    gathered = jax.jit(mapped, out_shardings=NamedSharding(mesh, PartitionSpec()))
    kept = jax.jit(mapped)

    def run(shared: Any, rows: tuple[jax.Array, ...], *, is_gathered: bool = True) -> Any:
        return (gathered if is_gathered else kept)(shared, rows)

    return run


def is_first_process() -> bool:
    """Tell whether this process writes what only one may write."""
    return jax.process_index() == 0


def gather_from_processes(array: np.ndarray) -> np.ndarray:
    """Gather arrays of one shape and dtype from all processes, bit for bit.

    Returns:
        (n_processes, …), in the order of the processes.
    """
    if jax.process_count() == 1:
        return array[None]
    # As bytes: JAX would round values of 64 bits.
    shaped = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    gathered = np.ascontiguousarray(multihost_utils.process_allgather(shaped))
    return gathered.view(array.dtype).reshape(-1, *array.shape)


def wait_for_processes(what: str) -> None:
    """Wait until every process has come here; ``what`` names the place, the same in all of them."""
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(what)


def describe_topology(mesh: Mesh) -> dict[str, Any]:
    """Describe what the rounding of a run depends on beside its arguments, JSON-ready."""
    devices = mesh.devices.ravel()
    return {
        "processes": len({device.process_index for device in devices}),
        "devices": len(devices),
        "platform": devices[0].platform,
        "kind": devices[0].device_kind,
        "jax": jax.__version__,
    }
