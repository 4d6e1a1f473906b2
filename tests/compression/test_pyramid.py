import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from ome_zarr_models.v05.image import Image

import nvc_jax
from nvc_jax.compression.pyramid import choose_scales
from nvc_jax.container.metadata import FormatError
from nvc_jax.io.metadata import VolumeMetadata
from nvc_jax.io.writers import write_volume

METADATA = VolumeMetadata(("z", "y", "x"), (2.0, 0.5, 0.5), (10.0, 0.0, 1.0), ("micrometer",) * 3)


def make_volume() -> np.ndarray:
    z, y, x = np.indices((8, 24, 264))
    return (np.sin(x / 9) + np.cos(y / 7 + z / 3)).astype(np.float32)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pyramid")
    volume = make_volume()
    volume[:, :4] = -999  # which no source declares
    write_volume(folder / "in.zarr", volume, metadata=METADATA)
    result = nvc_jax.compress(
        folder / "in.zarr", folder / "v.ome.zarr", max_error=0.01, pyramid=True, chunks=(8, 8, 8)
    )
    assert result.location == folder / "v.ome.zarr"
    files = [path for path in folder.rglob("v.ome.zarr/[0-9]/**/*") if path.is_file()]
    assert result.stored_bytes == sum(path.stat().st_size for path in files)
    assert sorted(entry.name for entry in folder.iterdir()) == ["in.zarr", "v.ome.zarr"]
    return folder / "v.ome.zarr"


def test_the_group_is_valid_and_levels_lie_where_they_should(image: Path) -> None:
    group = zarr.open_group(image, mode="r")
    described = Image.from_zarr(group).ome_attributes.multiscales[0]
    assert [dataset.path for dataset in described.datasets] == ["0", "1", "2"]
    assert [axis.unit for axis in described.axes] == ["micrometer"] * 3
    stated = json.loads((image / "zarr.json").read_text())["attributes"]["ome"]["multiscales"][0]
    last = stated["datasets"][-1]["coordinateTransformations"]
    assert last[0]["scale"] == [8.0, 2.0, 2.0]
    assert last[1]["translation"] == [13.0, 0.75, 1.75]
    assert [group[level].shape for level in "012"] == [(8, 24, 264), (4, 12, 132), (2, 6, 66)]


def test_levels_are_means_within_the_bound_and_missing_values_stay(image: Path) -> None:
    volume = make_volume()
    for level, side in enumerate((1, 2, 4)):
        decoded = nvc_jax.open(image / str(level)).read().result()
        n = (-(-4 // side)) if side < 4 else 1  # rows that are missing
        np.testing.assert_array_equal(decoded[:, :n], -999)
        parts = volume.reshape(8 // side, side, 24 // side, side, 264 // side, side)
        means = parts.mean((1, 3, 5))[:, n:]
        assert np.abs(decoded[:, n:] - means).max() <= 0.01 + 1e-6
        assert nvc_jax.info(image / str(level))["target"] == {"max_error": 0.01}
    assert nvc_jax.open(image / "1").metadata.spacing == (4.0, 1.0, 1.0)
    assert nvc_jax.open(image / "1").metadata.origin == (11.0, 0.25, 1.25)


def test_the_image_is_its_first_level(image: Path, tmp_path: Path) -> None:
    original = image.with_name("in.zarr")
    assert nvc_jax.open(image).shape == (8, 24, 264)
    assert nvc_jax.info(image)["levels"] == [[8, 24, 264], [4, 12, 132], [2, 6, 66]]
    report = nvc_jax.verify(original, image)
    assert report["levels"] == 3
    assert 0 < report["measured_max_error"] <= 0.01
    nvc_jax.decompress(image, tmp_path / "v.npy")
    assert np.load(tmp_path / "v.npy").shape == (8, 24, 264)


def test_damage_in_any_level_is_found(image: Path, tmp_path: Path) -> None:
    shutil.copytree(image, tmp_path / "v.ome.zarr")
    chunk = tmp_path / "v.ome.zarr" / "2" / "c" / "0" / "0" / "8"
    chunk.write_bytes(chunk.read_bytes()[:-9])
    nvc_jax.info(tmp_path / "v.ome.zarr")
    with pytest.raises(FormatError, match="chunk"):
        nvc_jax.verify(None, tmp_path / "v.ome.zarr")


def test_labels_are_never_mixed(tmp_path: Path) -> None:
    labels = (
        np.repeat(np.arange(3, dtype=np.uint8) * 50, 96)[np.newaxis, np.newaxis].repeat(8, 0).repeat(24, 1)
    )
    nvc_jax.compress(labels, tmp_path / "v.ome.zarr", pyramid=True)
    for level in "012":
        assert nvc_jax.info(tmp_path / "v.ome.zarr" / level)["target"] == {"lossless": True}
        assert set(np.unique(nvc_jax.open(tmp_path / "v.ome.zarr" / level).read().result())) == {0, 50, 100}


@pytest.mark.parametrize(
    ("destination", "options"),
    [
        ("v.zarr", {}),
        ("s3://bucket/v.ome.zarr", {}),
        ("v.ome.zarr", {"part": (0, 2)}),
        ("v.ome.zarr", {"resume": True}),
    ],
)
def test_what_cannot_be_an_image_is_refused(destination: str, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="pyramid"):
        nvc_jax.compress(make_volume(), destination, pyramid=True, **options)


def test_nothing_is_replaced_and_a_failed_run_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "v.ome.zarr"
    with pytest.raises(ValueError, match="exclude each other"):
        nvc_jax.compress(make_volume(), path, pyramid=True, max_error=1, psnr=50)
    assert list(tmp_path.iterdir()) == []
    path.mkdir()
    (path / "mine").write_text("")
    with pytest.raises(FileExistsError):
        nvc_jax.compress(make_volume(), path, pyramid=True)
    assert [entry.name for entry in path.iterdir()] == ["mine"]


def test_scales_halve_space_alone_until_a_chunk_is_left() -> None:
    assert choose_scales((100, 128, 90), [0, 1, 2]) == [(1, 1, 1)]
    assert choose_scales((3, 1, 5, 300, 600), [2, 3, 4])[-1] == (1, 1, 8, 8, 8)
    assert choose_scales((2, 1000), [0, 1])[-1] == (2, 8)
