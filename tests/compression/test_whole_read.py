import threading
import time
from pathlib import Path

import numpy as np
import pytest
from stored_files import keep_only

import nvc_jax
from nvc_jax.cli.demo import SAMPLE
from nvc_jax.compression.whole_read import begin_whole_read
from nvc_jax.container.reader import Reader
from nvc_jax.core.chunk_grid import full_region
from nvc_jax.core.devices import DeviceRota, devices_in_use
from nvc_jax.io.volumes import read_volume

VOLUME = read_volume(SAMPLE)[:40, :30, :43]
N_CHUNKS = 3 * 2 * 3


class SlowReader(Reader):
    """A reader that counts what it decodes, and waits until it may go on."""

    def __init__(self, location: Path) -> None:
        super().__init__(location)
        self.n_decoded, self.may_go_on = 0, threading.Event()

    def decode_pieces(self, result: np.ndarray, pieces: list) -> list[None]:
        self.may_go_on.wait(10)
        self.n_decoded += len(pieces)
        return super().decode_pieces(result, pieces)


@pytest.fixture(scope="module")
def container(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("container") / "v.zarr"
    nvc_jax.compress(VOLUME, path, step=0.02, chunks=(16, 16, 16))
    return path


@pytest.mark.parametrize("level", ["full", "preview"])
def test_all_voxels_are_read(level: str, container: Path) -> None:
    reader = Reader(container, level=level)
    expected = reader.decode(full_region(reader.shape))
    values = begin_whole_read(reader, DeviceRota(devices_in_use())).result()
    np.testing.assert_array_equal(values, expected)
    assert (values.dtype, values.flags.writeable) == (expected.dtype, True)
    np.testing.assert_array_equal(nvc_jax.open(container, level=level).read().result(), expected)


def test_a_damaged_chunk_is_named_and_ends_the_read(container: Path, tmp_path: Path) -> None:
    path = tmp_path / "v.zarr"
    nvc_jax.compress(VOLUME, path, step=0.02, chunks=(16, 16, 16))
    keep_only(path, "zarr.json", *(f"c/0/{y}/{x}" for y in range(2) for x in range(3)))
    with pytest.raises(nvc_jax.FormatError, match=r"chunk \(., ., .\) .* is missing"):
        nvc_jax.open(path).read().result()


@pytest.mark.parametrize("is_cancelled", [True, False])
def test_what_nobody_waits_for_is_left_out(is_cancelled: bool, container: Path) -> None:
    reader = SlowReader(container)
    future = begin_whole_read(reader, DeviceRota(devices_in_use()))
    if is_cancelled:
        assert future.cancel()
    else:
        del future
    reader.may_go_on.set()
    time.sleep(0.3)
    assert reader.n_decoded < N_CHUNKS // 2
