"""OME-Zarr images that are written, as the format's own models and zarr-python read them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorstore as ts
import zarr
from ome_zarr_models.v05 import Image

import nvc_jax
from nvc_jax.cli import main
from nvc_jax.io.metadata import VolumeMetadata
from nvc_jax.io.ome_zarr import is_ome_zarr
from nvc_jax.io.volumes import describe_level, read_metadata, read_volume
from nvc_jax.io.writers import write_volume

VOLUME = np.arange(8 * 9 * 10, dtype=np.int16).reshape(8, 9, 10)
SHEARED = [[0.5, 0.1, 0.0, -3.0], [0.0, 0.25, 0.0, 4.0], [0.0, 0.0, 2.0, 5.0], [0.0, 0.0, 0.0, 1.0]]
CHANNEL = {"color": "00FF00", "window": {"start": 0, "end": 9, "min": 0, "max": 9}}


def image_of(path: Path) -> Any:
    """Read the image by the models that check every rule of the format."""
    return Image.from_zarr(zarr.open_group(path, mode="r")).ome_attributes.multiscales[0]


@pytest.mark.parametrize(
    ("unit", "written"), [("um", "micrometer"), ("Å", "angstrom"), ("mm", "millimeter"), ("parsec", "parsec")]
)
def test_axes_units_scale_and_translation_are_written(unit: str, written: str, tmp_path: Path) -> None:
    metadata = VolumeMetadata(
        ("z", "y", "x"), (3.0, 0.5, 0.25), (1.0, -2.0, 0.5), (unit,) * 3, {"affine": SHEARED, "name": "µ"}
    )
    write_volume(tmp_path / "v.ome.zarr", VOLUME, metadata=metadata)
    image = image_of(tmp_path / "v.ome.zarr")
    assert [(axis.name, axis.type, axis.unit) for axis in image.axes] == [
        (n, "space", written) for n in "zyx"
    ]
    scale, translation = image.datasets[0].coordinateTransformations
    assert (scale.scale, translation.translation) == ([3.0, 0.5, 0.25], [1.0, -2.0, 0.5])
    np.testing.assert_array_equal(zarr.open_group(tmp_path / "v.ome.zarr")["0"][:], VOLUME)
    read = read_metadata(tmp_path / "v.ome.zarr")
    assert (read.spacing, read.origin, read.units) == (metadata.spacing, metadata.origin, (written,) * 3)
    assert {name: read.attributes[name] for name in metadata.attributes} == metadata.attributes


@pytest.mark.parametrize(
    ("names", "types"),
    [
        (None, ["space"] * 3),
        (("time", "lat", "lon"), ["time", "space", "space"]),
        (("c", "y", "x"), ["channel", "space", "space"]),
        (("z", "z", "x"), ["space"] * 3),
    ],
)
def test_any_axes_are_valid(names: Any, types: list[str], tmp_path: Path) -> None:
    write_volume(tmp_path / "v.ome.zarr", VOLUME, metadata=VolumeMetadata(names))
    image = image_of(tmp_path / "v.ome.zarr")
    assert [axis.type for axis in image.axes] == types
    array = zarr.open_array(tmp_path / "v.ome.zarr" / "0")
    assert array.metadata.dimension_names == tuple(axis.name for axis in image.axes)


def test_an_image_comes_back_as_an_image(tmp_path: Path) -> None:
    """Version 0.4 in Zarr 2, with levels, to a container and to version 0.5."""
    levels = [VOLUME[None, None], VOLUME[None, None, ::2, ::2, ::2]]
    for name, values in zip("01", levels, strict=True):
        spec = {"driver": "zarr", "kvstore": f"file://{tmp_path}/in.zarr/{name}/"}
        spec["metadata"] = {"dimension_separator": "/"}
        ts.open(spec, create=True, dtype="int16", shape=values.shape).result().write(values).result()
    axes = [{"name": "t", "type": "time"}, {"name": "c", "type": "channel"}]
    axes += [{"name": name, "type": "space", "unit": "nanometer"} for name in "zyx"]
    datasets = [
        {"path": name, "coordinateTransformations": [{"type": "scale", "scale": [1, 1, side, side, side]}]}
        for name, side in (("0", 2.0), ("1", 4.0))
    ]
    multiscale = {"version": "0.4", "name": "cell", "axes": axes, "datasets": datasets}
    group = {"multiscales": [multiscale], "omero": {"channels": [CHANNEL]}}
    (tmp_path / "in.zarr" / ".zgroup").write_text('{"zarr_format": 2}')
    (tmp_path / "in.zarr" / ".zattrs").write_text(json.dumps(group))

    assert describe_level(tmp_path / "in.zarr") == "0 of 0, 1"
    nvc_jax.compress(tmp_path / "in.zarr", tmp_path / "v.zarr", lossless=True, chunks=(1, 1, 8, 16, 16))
    region = np.s_[:, :, 2:8, :, 4:10]
    nvc_jax.decompress(tmp_path / "v.zarr", tmp_path / "out.ome.zarr", region=region)
    np.testing.assert_array_equal(read_volume(tmp_path / "out.ome.zarr"), VOLUME[None, None][region])
    image = image_of(tmp_path / "out.ome.zarr")
    scale, translation = image.datasets[0].coordinateTransformations
    assert (scale.scale, translation.translation) == ([1, 1, 2, 2, 2], [0, 0, 4, 0, 8])
    assert (image.name, image.axes[2].unit) == ("cell", "nanometer")
    written = json.loads((tmp_path / "out.ome.zarr" / "zarr.json").read_text())["attributes"]["ome"]
    assert (written["version"], written["omero"]) == ("0.5", group["omero"])


def test_a_level_is_chosen_by_its_path(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    write_volume(tmp_path / "v.ome.zarr", VOLUME, metadata=VolumeMetadata(spacing=(1.0, 2.0, 3.0)))
    document = json.loads((tmp_path / "v.ome.zarr" / "zarr.json").read_text())
    datasets = document["attributes"]["ome"]["multiscales"][0]["datasets"]
    scale = {"type": "scale", "scale": [2.0, 4.0, 6.0]}
    datasets.append({"path": "s/1", "coordinateTransformations": [scale]})
    (tmp_path / "v.ome.zarr" / "zarr.json").write_text(json.dumps(document))
    (tmp_path / "v.ome.zarr" / "s").mkdir()
    write_volume(tmp_path / "v.ome.zarr" / "s" / "1.zarr", VOLUME[::2, ::2, ::2])
    (tmp_path / "v.ome.zarr" / "s" / "1.zarr").rename(tmp_path / "v.ome.zarr" / "s" / "1")
    for level, stated, spacing in (
        ("", "0 of 0, s/1", (1.0, 2.0, 3.0)),
        ("/0", "0 of 0, s/1", (1.0, 2.0, 3.0)),
        ("/s/1", "s/1 of 0, s/1", (2.0, 4.0, 6.0)),
    ):
        for source in (f"{tmp_path}/v.ome.zarr{level}", f"file://{tmp_path}/v.ome.zarr{level}"):
            assert describe_level(source) == stated
            assert read_metadata(source).spacing == spacing
    assert main(["compress", f"{tmp_path}/v.ome.zarr/s/1", f"{tmp_path}/c.zarr", "--lossless"]) == 0
    assert "(level s/1 of 0, s/1)\n" in capsys.readouterr().out
    assert nvc_jax.open(tmp_path / "c.zarr").shape == (4, 5, 5)


@pytest.mark.parametrize(
    ("attributes", "advice"),
    [({"plate": {}}, "v/A/1/0"), ({"bioformats2raw.layout": 3}, "v/0"), ({}, "name an array in it")],
)
def test_groups_of_images_say_what_to_name(attributes: dict, advice: str, tmp_path: Path) -> None:
    zarr.create_group(tmp_path / "v", attributes={"ome": {"version": "0.5", **attributes}})
    with pytest.raises(ValueError, match=advice):
        read_volume(tmp_path / "v")


def test_names_tell_images_from_arrays(tmp_path: Path) -> None:
    assert is_ome_zarr(Path("A.OME.ZARR"))
    assert not is_ome_zarr(Path("ome.zarr"))
    write_volume(tmp_path / "v.ome.zarr", VOLUME)
    with pytest.raises(FileExistsError, match="Zarr group"):
        write_volume(tmp_path / "v.ome.zarr", VOLUME, overwrite=True)
    assert describe_level(VOLUME) is None
