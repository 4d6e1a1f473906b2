import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorstore as ts
import zarr

from nvc_jax.io.chunked_stores import without_useless_cache
from nvc_jax.io.lazy import CACHE_BYTES
from nvc_jax.io.metadata import VolumeMetadata
from nvc_jax.io.volumes import open_volume, read_metadata, read_volume

VOLUME = np.arange(24, dtype=np.uint16).reshape(2, 3, 4)


def _write(path: Path, driver: str, array: np.ndarray, **spec: Any) -> None:
    kvstore = {"driver": "file", "path": f"{path}/"}
    options = {} if driver == "neuroglancer_precomputed" else {"shape": array.shape, "dtype": array.dtype}
    store = ts.open({"driver": driver, "kvstore": kvstore, **spec}, create=True, **options).result()
    store.write(array).result()


def _zarr3(path: Path) -> None:
    _write(path, "zarr3", VOLUME, metadata={"dimension_names": ["z", "y", "x"], "attributes": {"a": [1]}})


def _zarr2(path: Path) -> None:
    _write(path, "zarr", VOLUME)
    (path / ".zattrs").write_text(json.dumps({"_ARRAY_DIMENSIONS": ["depth", "lat", "lon"], "b": "c"}))


def _n5(path: Path) -> None:
    metadata = {"axes": ["x", "y", "z"], "resolution": [1.0, 2.0, 4.0], "units": ["nm", "nm", "um"]}
    _write(path, "n5", VOLUME.T, metadata=metadata)


def _precomputed(path: Path, n_channels: int = 1) -> None:
    scale = {
        "resolution": [4, 5, 6],
        "size": [4, 3, 2],
        "voxel_offset": [10, 20, 30],
        "chunk_size": [4, 3, 2],
    }
    _write(
        path,
        "neuroglancer_precomputed",
        np.repeat(VOLUME.T[..., None], n_channels, 3),
        multiscale_metadata={"type": "image", "data_type": "uint16", "num_channels": n_channels},
        scale_metadata={**scale, "encoding": "raw"},
    )


MULTISCALE = {
    "version": "0.4",
    "axes": [
        {"name": "t", "type": "time"},
        {"name": "c", "type": "channel"},
        *({"name": name, "type": "space", "unit": "micrometer"} for name in "zyx"),
    ],
    "datasets": [
        {
            "path": "full/0",
            "coordinateTransformations": [
                {"type": "scale", "scale": [1, 1, 3.0, 0.5, 0.25]},
                {"type": "translation", "translation": [0, 0, 1, 2, 3]},
            ],
        },
        {"path": "full/1", "coordinateTransformations": [{"type": "scale", "scale": [1, 1, 6, 1, 0.5]}]},
    ],
    "coordinateTransformations": [{"type": "scale", "scale": [9, 1, 2, 2, 2]}],
}


def _ome4(path: Path, **changed: Any) -> None:
    _write(path / "full" / "0", "zarr", VOLUME[None, None])
    (path / ".zgroup").write_text('{"zarr_format": 2}')
    (path / ".zattrs").write_text(json.dumps({"multiscales": [{**MULTISCALE, **changed}], "other": 1}))


def _ome5(path: Path) -> None:
    _write(path / "full" / "0", "zarr3", VOLUME[None, None])
    attributes = {"ome": {"version": "0.5", "multiscales": [MULTISCALE]}}
    group = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
    (path / "zarr.json").write_text(json.dumps(group))


WRITERS = [_zarr3, _zarr2, _n5, _precomputed, _ome4, _ome5]


@pytest.mark.parametrize("write", WRITERS)
def test_directories_open_with_their_axes_z_y_x(write: Any, tmp_path: Path) -> None:
    write(tmp_path / "v")
    urls = [f"file://{tmp_path}/v", f"file://{tmp_path}/v/"]
    spec = {"driver": "auto", "kvstore": f"file://{tmp_path}/v/"}
    for source in (tmp_path / "v", str(tmp_path / "v"), *urls, spec):
        store = open_volume(source)
        assert set(store.domain.origin) == {0}
        assert store.rank == (5 if write in (_ome4, _ome5) else 3)
        np.testing.assert_array_equal(store.read().result().reshape(VOLUME.shape), VOLUME)
        np.testing.assert_array_equal(store[..., 1, 2, 1:].read().result().reshape(-1), VOLUME[1, 2, 1:])
        assert read_metadata(source) == read_metadata(tmp_path / "v")


def test_directories_have_metadata(tmp_path: Path) -> None:
    for write in WRITERS:
        write(tmp_path / write.__name__)
    assert read_metadata(tmp_path / "_zarr3") == VolumeMetadata(("z", "y", "x"), attributes={"a": [1]})
    zarr2 = read_metadata(tmp_path / "_zarr2")
    assert zarr2.dimension_names == ("depth", "lat", "lon")
    assert zarr2.attributes == {"_ARRAY_DIMENSIONS": ["depth", "lat", "lon"], "b": "c"}
    n5 = read_metadata(tmp_path / "_n5")
    assert (n5.dimension_names, n5.spacing) == (("z", "y", "x"), (4.0, 2.0, 1.0))
    assert n5.units == ("um", "nm", "nm")
    precomputed = read_metadata(tmp_path / "_precomputed")
    assert (precomputed.spacing, precomputed.origin) == ((6.0, 5.0, 4.0), (180.0, 100.0, 40.0))
    assert precomputed.units == ("nm", "nm", "nm")


@pytest.mark.parametrize("write", [_ome4, _ome5])
def test_ome_zarr_has_metadata(write: Any, tmp_path: Path) -> None:
    write(tmp_path / "v")
    metadata = read_metadata(tmp_path / "v")
    assert metadata.dimension_names == ("t", "c", "z", "y", "x")
    assert (metadata.spacing, metadata.origin) == ((9.0, 1.0, 6.0, 1.0, 0.5), (0.0, 0.0, 2.0, 4.0, 6.0))
    assert metadata.units == (None, None, "micrometer", "micrometer", "micrometer")
    multiscale = metadata.attributes["ome"]["multiscales"][0]
    assert multiscale == {**MULTISCALE, "datasets": MULTISCALE["datasets"][:1]}


@pytest.mark.parametrize(
    "changed", [{"axes": 7}, {"axes": ["q"]}, {"coordinateTransformations": [{"scale": "x"}]}]
)
def test_odd_metadata_are_left_out(changed: dict[str, Any], tmp_path: Path) -> None:
    _ome4(tmp_path / "v", **changed)
    metadata = read_metadata(tmp_path / "v")
    assert (metadata.dimension_names, metadata.spacing, metadata.units) == (None, None, None)
    np.testing.assert_array_equal(read_volume(tmp_path / "v"), VOLUME[None, None])


@pytest.mark.parametrize("driver", ["n5", "neuroglancer_precomputed"])
def test_specs_of_formats_that_list_x_first(driver: str, tmp_path: Path) -> None:
    (_n5 if driver == "n5" else _precomputed)(tmp_path / "v")
    spec = {"driver": driver, "kvstore": {"driver": "file", "path": f"{tmp_path}/v/"}}
    np.testing.assert_array_equal(read_volume(spec), VOLUME)
    assert read_metadata(spec) == read_metadata(tmp_path / "v")
    np.testing.assert_array_equal(read_volume({**spec, "dtype": "uint16"}), VOLUME)
    store = ts.open(spec).result()
    metadata = read_metadata(store)
    assert metadata.dimension_names == ("x", "y", "z", "channel")[: store.rank]
    np.testing.assert_array_equal(read_volume(store).reshape(VOLUME.T.shape), VOLUME.T)
    part = store[ts.d["x"].translate_to[0]][1:3]
    np.testing.assert_array_equal(read_volume(part.spec().to_json()).reshape(2, 3, 2), VOLUME.T[1:3])


def test_an_array_of_a_group_is_named_by_its_path(tmp_path: Path) -> None:
    _ome4(tmp_path / "v")
    np.testing.assert_array_equal(read_volume(tmp_path / "v" / "full" / "0"), VOLUME[None, None])


def test_arrays_of_a_group_are_named(tmp_path: Path) -> None:
    group = zarr.open_group(tmp_path / "g.zarr", mode="w")
    for name in ("u", "deep/v", "w", "x", "y", "z"):
        group.create_array(name, data=VOLUME)
    names = ", ".join(f"`{tmp_path}/g.zarr/{name}`" for name in ("deep/v", "u", "w", "x"))
    with pytest.raises(ValueError, match=re.escape(f"name an array in it: {names}") + "$"):
        open_volume(tmp_path / "g.zarr")


def test_damaged_directories_are_named(tmp_path: Path) -> None:
    path = tmp_path / "v"
    path.mkdir()

    def check(match: str) -> None:
        for read in (open_volume, read_metadata):
            with pytest.raises(ValueError, match=match):
                read(path)

    check(r"`.*/v` is a directory but no readable Zarr array: it holds none of zarr\.json, ")
    (path / "zarr.json").write_text("{")
    check(r"`.*/v`: `zarr\.json` is damaged")
    (path / "zarr.json").write_text('{"zarr_format": 3, "node_type": "group"}')
    check(r"`.*/v` is a Zarr group without multiscales")
    (path / "zarr.json").write_text('{"attributes": {"multiscales": [7]}, "node_type": "group"}')
    check(r"`.*/v` is a Zarr group without multiscales")
    attributes = {"ome": {"multiscales": [{"datasets": [{"path": "0"}]}]}}
    (path / "zarr.json").write_text(json.dumps({"node_type": "group", "attributes": attributes}))
    check("first dataset `0` is no readable Zarr array")
    (path / "zarr.json").write_text('{"zarr_format": 3, "node_type": "array"}')
    with pytest.raises(ValueError, match="is a directory but no readable Zarr array"):
        open_volume(path)
    assert read_metadata(path) == VolumeMetadata()


def test_several_channels_are_an_axis(tmp_path: Path) -> None:
    _precomputed(tmp_path / "v", n_channels=2)
    np.testing.assert_array_equal(read_volume(tmp_path / "v"), np.stack([VOLUME, VOLUME]))
    metadata = read_metadata(tmp_path / "v")
    assert metadata.dimension_names == ("channel", "z", "y", "x")
    assert metadata.spacing == (None, 6.0, 5.0, 4.0)


@pytest.mark.parametrize(
    ("shape", "names"),
    [
        ((4, 6), ("lat", "lon")),
        ((2, 3, 4, 1), ("z", "y", "x", "c")),
        ((1, 2, 1, 3, 4), ("t", "c", "z", "y", "x")),
    ],
)
def test_arrays_of_any_rank_open(shape: tuple[int, ...], names: tuple[str, ...], tmp_path: Path) -> None:
    _write(tmp_path / "v", "zarr3", VOLUME.reshape(shape), metadata={"dimension_names": names})
    np.testing.assert_array_equal(read_volume(tmp_path / "v"), VOLUME.reshape(shape))
    assert read_metadata(tmp_path / "v").dimension_names == names


def test_a_url_may_name_its_format(tmp_path: Path) -> None:
    _zarr3(tmp_path / "v")
    np.testing.assert_array_equal(read_volume(f"file://{tmp_path}/v/|zarr3:"), VOLUME)
    assert read_metadata(f"file://{tmp_path}/v/|zarr3:").dimension_names == ("z", "y", "x")


def _bytes_read() -> int:
    metrics = ts.experimental_collect_matching_metrics("/tensorstore/kvstore/file/bytes_read")
    return int(sum(value["value"] for metric in metrics for value in metric["values"]))


def test_decoded_chunks_are_kept_as_long_as_the_source_is_open(tmp_path: Path) -> None:
    array = np.random.default_rng(0).integers(0, 256, (40, 50, 60), np.uint8)
    _write(tmp_path / "v", "zarr3", array)

    def bytes_of_read(store: ts.TensorStore) -> int:
        before = _bytes_read()
        np.testing.assert_array_equal(store, array)
        return _bytes_read() - before

    store = open_volume(tmp_path / "v")
    assert bytes_of_read(store) >= array.nbytes
    assert bytes_of_read(store) < array.nbytes
    del store
    assert bytes_of_read(open_volume(tmp_path / "v")) >= array.nbytes


def _make_large(path: Path, side: int = 64, **codecs: Any) -> None:
    """Make a volume of 130 MiB of which nothing is stored: all of it has the fill value."""
    metadata = {"chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [side] * 3}}, **codecs}
    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": f"{path}/"}, "metadata": metadata}
    ts.open(spec, create=True, dtype="uint8", shape=(520, 512, 512), fill_value=7).result()


def _cache_bytes(store: ts.TensorStore) -> int:
    pool = store.spec(retain_context=True).to_json()["context"]["cache_pool"]
    return pool.get("total_bytes_limit", 0)


def test_large_volumes_that_are_read_in_whole_chunks_have_no_cache(tmp_path: Path) -> None:
    _make_large(tmp_path / "v")
    store = open_volume(tmp_path / "v")
    assert _cache_bytes(store) == CACHE_BYTES
    for piece in [(64, 64, 64), (128, 64, 512), (520, 192, 128)]:
        opened = without_useless_cache(store, piece)
        assert _cache_bytes(opened) == 0
        assert opened.domain == store.domain
        np.testing.assert_array_equal(opened[513:, 100, 100], 7)


@pytest.mark.parametrize("piece", [(96, 64, 64), (64, 64, 32), (64, 100, 64)])
def test_chunks_that_several_pieces_share_are_kept(piece: tuple[int, ...], tmp_path: Path) -> None:
    _make_large(tmp_path / "v")
    store = open_volume(tmp_path / "v")
    assert without_useless_cache(store, piece) is store


def test_caches_that_are_of_use_stay(tmp_path: Path) -> None:
    _zarr3(tmp_path / "small")
    _make_large(tmp_path / "v")
    inner = {"chunk_shape": [32, 32, 32], "codecs": [{"name": "bytes"}]}
    _make_large(tmp_path / "shards", codecs=[{"name": "sharding_indexed", "configuration": inner}])
    large = open_volume(tmp_path / "v")
    own = ts.open(large.spec(), context=ts.Context({"cache_pool": {"total_bytes_limit": 1 << 20}})).result()
    in_memory = ts.open({**large.spec().to_json(), "kvstore": "memory://v/"}, create=True).result()
    stores = [open_volume(tmp_path / name) for name in ("small", "shards")]
    stores += [large[1:].translate_to[0], open_volume(own), open_volume(in_memory)]
    stores.append(open_volume(np.zeros((2, 3, 4), np.float32)))
    for store in stores:
        assert without_useless_cache(store, (64, 64, 64)) is store
