import importlib
import re
from importlib.resources import files
from pathlib import Path

import dask.array as da
import numpy as np
import pytest

import nvc_jax
from nvc_jax.io.metadata import VolumeMetadata
from nvc_jax.io.writers import write_volume
from nvc_jax.napari.reader import get_reader, read_layers

VOLUME = np.random.default_rng(0).normal(size=(5, 16, 24)).astype(np.float32)


@pytest.fixture(scope="module")
def container(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("napari")
    metadata = VolumeMetadata(("z", "y", "x"), (2.0, 0.5, 0.5), (10.0, 0.0, 0.0), ("um", "um", "um"))
    write_volume(folder / "in.zarr", VOLUME, metadata=metadata)
    nvc_jax.compress(folder / "in.zarr", folder / "v.zarr", lossless=True)
    return folder / "v.zarr"


def test_a_container_is_a_lazy_layer_with_its_axes(container: Path) -> None:
    read = get_reader(str(container))
    assert read is not None
    ((array, arguments, kind),) = read(str(container))
    assert (kind, arguments["name"]) == ("image", "v.zarr")
    assert isinstance(array, da.Array)
    np.testing.assert_array_equal(array[3].compute(), VOLUME[3])
    assert arguments["axis_labels"] == ("z", "y", "x")
    assert (arguments["scale"], arguments["translate"]) == ([2.0, 0.5, 0.5], [10.0, 0.0, 0.0])
    assert arguments["contrast_limits"] == (VOLUME.min(), VOLUME.max())
    assert arguments["metadata"]["nvc"] == {"lossless": True}


def test_what_is_no_container_is_left_to_other_readers(container: Path, tmp_path: Path) -> None:
    assert get_reader(str(container.with_name("in.zarr"))) is None
    assert get_reader(str(tmp_path / "nothing.zarr")) is None
    assert get_reader([str(container), str(tmp_path)]) is None
    assert get_reader([]) is None
    assert len(read_layers([str(container), str(container)])) == 2


def test_a_large_container_has_a_coarse_level_and_nothing_is_decoded(tmp_path: Path) -> None:
    nvc_jax.compress(np.zeros((8, 1 << 11, (1 << 10) + 8), np.uint8), tmp_path / "v.zarr", lossless=True)
    ((levels, arguments, _),) = read_layers(str(tmp_path / "v.zarr"))
    assert arguments["multiscale"]
    assert [level.shape for level in levels] == [(8, 2048, 1032), (1, 256, 129)]
    assert arguments["contrast_limits"] == (0.0, 1.0)


def test_an_image_has_its_own_levels(tmp_path: Path) -> None:
    volume = np.zeros((8, 8, 264), np.uint8)
    nvc_jax.compress(volume, tmp_path / "v.ome.zarr", lossless=True, pyramid=True)
    ((levels, arguments, _),) = read_layers(str(tmp_path / "v.ome.zarr"))
    assert arguments["multiscale"]
    assert [level.shape for level in levels] == [(8, 8, 264), (4, 4, 132), (2, 2, 66)]
    np.testing.assert_array_equal(levels[2].compute(), 0)


def test_the_manifest_names_what_there_is() -> None:
    manifest = files("nvc_jax.napari").joinpath("napari.yaml").read_text()
    (name,) = re.findall(r"python_name: (\S+)", manifest)
    module, _, function = name.partition(":")
    assert getattr(importlib.import_module(module), function) is get_reader
