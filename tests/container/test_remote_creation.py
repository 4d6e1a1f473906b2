import itertools

import numpy as np
import pytest
from container_metadata import CHUNK, METADATA, SHAPE, packed_payload

from nvc_jax.container.creation import create
from nvc_jax.container.store import ContainerStore, open_container
from nvc_jax.core.chunk_grid import chunk_valid_shape
from nvc_jax.io.locations import open_location

NUMBERS = itertools.count()


@pytest.fixture
def location() -> str:
    return f"memory://remote-creation-{next(NUMBERS)}/"


def write(store: ContainerStore, value: int, numbers: tuple[int, ...] = (0, 1, 2)) -> None:
    for x in numbers:
        values = np.full(chunk_valid_shape((0, 0, x), CHUNK, SHAPE), value, np.int16)
        store.write_object((0, 0, x), {(0, 0, x): packed_payload(values)})


def test_of_two_runs_the_second_is_refused(location: str) -> None:
    with create(location, METADATA) as store:
        write(store, 1, (0,))
        with pytest.raises(FileExistsError, match=r"another run began.*`--resume`.*`--overwrite`"):
            create(location, METADATA).__enter__()
        write(store, 1, (1, 2))
    assert open_container(location).is_complete()


def overtaken(location: str) -> None:
    """Write a container, while a second run begins anew, as its user says that no run is at work."""
    with create(location, METADATA) as store:
        write(store, 1, (0, 1))
        create(location, METADATA, overwrite=True).__enter__()
        write(store, 1, (2,))


def test_a_run_whose_objects_are_gone_completes_nothing(location: str) -> None:
    with pytest.raises(FileExistsError, match="another run has removed what this one wrote"):
        overtaken(location)
    assert open_location(location).read("zarr.json").result().state == "missing"


def test_old_objects_are_gone_before_the_metadata_are_there(location: str) -> None:
    with create(location, METADATA) as store:
        write(store, 1)
    with create(location, METADATA) as store:
        assert not any(store.has_object(index) for index in store.objects())
        write(store, 2)
    objects = open_location(location)
    objects.write(".nvc-clearing.json", b"{}").result()  # a run that was killed while it cleared
    with pytest.raises(FileExistsError, match="another run began"):
        create(location, METADATA).__enter__()
    with create(location, METADATA, overwrite=True) as store:
        write(store, 3)
    assert not [key for key in objects.list().result() if key.startswith(b".nvc-")]


def test_other_arrays_are_replaced_only_where_the_user_says_so(location: str) -> None:
    open_location(location).write("zarr.json", b'{"node_type": "array"}').result()
    with pytest.raises(FileExistsError, match="something that is no container"):
        create(location, METADATA).__enter__()
    with create(location, METADATA, overwrite=True) as store:
        write(store, 1)
    assert open_container(location).is_complete()
