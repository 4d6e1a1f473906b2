import dataclasses
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorstore as ts
from container_metadata import CHUNK, METADATA, SHAPE, packed_payload
from interruption import Interrupted
from stored_files import read_files

from nvc_jax.container.creation import claim, create, is_complete
from nvc_jax.container.metadata import ContainerMetadata, FormatError
from nvc_jax.container.store import ContainerStore, open_container
from nvc_jax.core.chunk_grid import chunk_valid_shape
from nvc_jax.io.locations import Location, open_location

OTHER = dataclasses.replace(METADATA, maximum=41.0)
NUMBERS = itertools.count()


def write(store: ContainerStore, numbers: tuple[int, ...] = (0, 1, 2)) -> None:
    for x in numbers:
        values = np.full(chunk_valid_shape((0, 0, x), CHUNK, SHAPE), x, np.int16)
        store.write_object((0, 0, x), {(0, 0, x): packed_payload(values)})


def write_and_stop(location: Location, metadata: ContainerMetadata, numbers: tuple[int, ...]) -> None:
    """Write some objects of a container and stop before it is complete."""
    with create(location, metadata) as store:
        write(store, numbers)
        raise Interrupted


@pytest.fixture(params=["directory", "zip", "memory"])
def location(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    """A location in the file system, or where nothing can be renamed, at which nothing lies yet."""
    locations = {
        "directory": tmp_path / "v.zarr",
        "zip": tmp_path / "v.zarr.zip",
        "memory": f"memory://creation-{next(NUMBERS)}/",
    }
    return locations[request.param]


def find_begun(location: Location) -> ContainerMetadata | None:
    """Find the metadata of a container that several writers write."""
    with claim(location, shared=True) as claimed:
        begun = claimed.find_begun()
    return None if begun is None else begun.store.metadata


def can_be_opened(location: Location) -> bool:
    try:
        open_container(location)
    except (FileNotFoundError, FormatError):
        return False
    return True


def test_there_is_no_container_until_it_is_complete(location: Any) -> None:
    with create(location, METADATA) as store:
        write(store, (0, 1))
        assert not can_be_opened(location)
        write(store, (2,))
        assert not is_complete(location, METADATA)
    assert is_complete(location, METADATA)
    assert open_container(location).largest_stated_error() == 0


def test_an_interrupted_run_is_resumed(location: Any) -> None:
    with pytest.raises(Interrupted):
        write_and_stop(location, METADATA, (0, 1))
    assert not can_be_opened(location)
    with create(location, METADATA, resume=True) as store:
        assert [store.has_object((0, 0, x)) for x in range(3)] == [True, True, False]
        write(store, (2,))
    assert is_complete(location, METADATA)


def test_a_new_run_begins_anew(location: Any) -> None:
    with pytest.raises(Interrupted):
        write_and_stop(location, OTHER, (0, 1, 2))
    # Where nothing can be renamed, nobody can tell a killed run from one at work.
    is_remote = str(location).startswith("memory")
    if is_remote:
        with pytest.raises(FileExistsError, match="another run began"), create(location, METADATA):
            pass
    with create(location, METADATA, overwrite=is_remote) as store:
        assert not any(store.has_object(index) for index in store.objects())
        write(store)
    assert is_complete(location, METADATA)
    assert not is_complete(location, OTHER)


def test_a_run_of_another_volume_model_or_target_is_not_resumed(location: Any) -> None:
    with pytest.raises(Interrupted):
        write_and_stop(location, OTHER, (0, 1, 2))
    with (
        pytest.raises(ValueError, match="was begun with another volume, model or target"),
        create(location, METADATA, resume=True),
    ):
        pass


def test_an_existing_container_is_replaced(location: Any) -> None:
    for metadata in (METADATA, OTHER):
        with create(location, metadata) as store:
            write(store)
    assert is_complete(location, OTHER)


def test_the_last_of_several_writers_completes_the_container(location: Any) -> None:
    first_step, second_step = (dataclasses.replace(METADATA, step=step) for step in (0.5, 0.25))
    with create(location, first_step, shared=True) as store:
        write(store, (0, 2))
    assert not can_be_opened(location)
    assert find_begun(location) == first_step
    with create(location, second_step, shared=True) as store:
        assert store.metadata == first_step  # of the first writer, whose step may differ
        write(store, (1,))
    assert open_container(location).metadata == first_step
    assert is_complete(location, second_step)
    assert not is_complete(location, OTHER)
    assert find_begun(location) is None


def test_writers_of_another_container_are_refused(location: Any) -> None:
    with create(location, METADATA, shared=True) as store:
        write(store, (0, 2))
    with (
        pytest.raises(ValueError, match="was begun with another volume, model or target"),
        create(location, OTHER, shared=True),
    ):
        pass


def test_nothing_is_left_beside_a_complete_container(location: Any, tmp_path: Path) -> None:
    with create(location, METADATA) as store:
        write(store)
    names = {path.name for path in tmp_path.iterdir()}
    assert names <= {"v.zarr", "v.zarr.zip"}
    expected = {"zarr.json", "c/0/0/0", "c/0/0/1", "c/0/0/2"}
    assert {key.decode() for key in open_location(location).list().result()} == expected


def test_metadata_that_json_cannot_hold_lose_nothing(tmp_path: Path) -> None:
    with create(tmp_path / "v.zarr", METADATA) as store:
        write(store)
    before = read_files(tmp_path)
    wrong = dataclasses.replace(METADATA, attributes={"times": {1, 2}})
    with pytest.raises(TypeError, match="JSON"), create(tmp_path / "v.zarr", wrong):
        pass
    assert read_files(tmp_path) == before


def test_other_keys_are_not_replaced() -> None:
    location = f"memory://creation-{next(NUMBERS)}/"
    objects = open_location(location)
    objects.write("thesis.txt", b"the only copy").result()
    with pytest.raises(FileExistsError, match=r"holds `thesis.txt`"), create(location, METADATA):
        pass
    assert objects.read("thesis.txt").result().value == b"the only copy"


def test_several_writers_do_not_replace_a_container_where_nothing_can_be_renamed() -> None:
    location = f"memory://creation-{next(NUMBERS)}/"
    with create(location, OTHER) as store:
        write(store)
    with pytest.raises(FileExistsError, match="remove it first"), create(location, METADATA, shared=True):
        pass
    assert is_complete(location, OTHER)


def test_damaged_metadata_of_a_begun_container_are_named() -> None:
    location = f"memory://creation-{next(NUMBERS)}/"
    with create(location, METADATA, shared=True):
        pass
    objects: ts.KvStore = open_location(location)
    (key,) = objects.list().result()
    objects.write(key, b"{").result()
    with pytest.raises(FormatError, match="no readable Zarr v3 array"):
        find_begun(location)
