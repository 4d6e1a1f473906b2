import json
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest

import nvc_jax
from nvc_jax.autoencoder.config import DenseConfig
from nvc_jax.autoencoder.networks import init_params
from nvc_jax.cli.demo import SAMPLE
from nvc_jax.container.metadata import FormatError
from nvc_jax.evaluation import containers
from nvc_jax.io.volumes import read_volume
from nvc_jax.io.writers import write_volume

CONFIG = DenseConfig(block_size=4, margin=1, latent_dim=3, hidden_sizes=(8,))
VOLUME = read_volume(SAMPLE)[:21, :30, :43]


@pytest.fixture(scope="module")
def codec() -> nvc_jax.Codec:
    return nvc_jax.Codec(CONFIG, init_params(CONFIG, key=jax.random.key(0)))


@pytest.fixture
def store(tmp_path: Path, codec: nvc_jax.Codec) -> Path:
    path = tmp_path / "v.zarr"
    nvc_jax.compress(VOLUME, path, model=codec, chunks=(8, 16, 16))
    return path


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
@pytest.mark.parametrize("mode", ["blend", "crop"])
def test_a_container_gives_what_the_codec_gives(dtype: str, mode: str, tmp_path: Path) -> None:
    volume = VOLUME.astype(dtype)
    nvc_jax.compress(volume, tmp_path / "v.zarr", model="two-wide-margin")
    codec = nvc_jax.load_codec("two-wide-margin")
    expected = nvc_jax.decode_volume(codec, nvc_jax.encode_volume(codec, volume), mode=mode)
    nvc_jax.decompress(tmp_path / "v.zarr", tmp_path / "w.npy", mode=mode)
    decoded = np.load(tmp_path / "w.npy")
    assert decoded.dtype == volume.dtype
    np.testing.assert_array_equal(decoded, expected)


@pytest.mark.parametrize("source", ["v.npy", "v.npz", "v_43x30x21_uint8.raw", "v.zarr"])
def test_every_kind_of_file_goes_in_and_comes_out(source: str, tmp_path: Path) -> None:
    write_volume(tmp_path / source, VOLUME)
    nvc_jax.compress(tmp_path / source, tmp_path / "c.zarr", model="two-wide-margin")
    nvc_jax.decompress(tmp_path / "c.zarr", tmp_path / f"out-{source}")
    measures = nvc_jax.evaluate(tmp_path / source, tmp_path / "c.zarr")
    error = read_volume(tmp_path / f"out-{source}").astype(float) - VOLUME
    assert measures["mse"] == pytest.approx((error**2).mean())
    assert measures["psnr_db"] > 20
    stored = sum(file.stat().st_size for file in (tmp_path / "c.zarr").rglob("*") if file.is_file())
    assert measures["ratio"] == pytest.approx(VOLUME.nbytes / stored)


@pytest.mark.parametrize("mode", ["blend", "crop"])
def test_regions_are_those_of_the_whole(mode: str, store: Path) -> None:
    view = nvc_jax.open(store, mode=mode)
    assert view.shape == VOLUME.shape
    assert view.dtype.numpy_dtype == VOLUME.dtype
    whole = view.read().result().astype(int)
    for region in [
        np.s_[0:1, 0:1, 0:1],
        np.s_[3:9, 4:8, 13:43],
        np.s_[20:21, 29:30, 42:43],
        np.s_[:, 7:9, :],
    ]:
        assert np.abs(view[region].read().result() - whole[region]).max() <= 1


def test_a_region_reads_only_the_chunks_it_needs(store: Path, tmp_path: Path) -> None:
    region = (slice(0, 4), slice(0, 4), slice(0, 4))
    nvc_jax.decompress(store, tmp_path / "before.npy", region=region)
    shutil.rmtree(store / "c" / "2")
    nvc_jax.decompress(store, tmp_path / "after.npy", region=region)
    np.testing.assert_array_equal(np.load(tmp_path / "after.npy"), np.load(tmp_path / "before.npy"))
    with pytest.raises(FormatError, match=r"chunk \(2, 0, 0\) .* is missing"):
        nvc_jax.decompress(store, tmp_path / "whole.npy")
    assert not (tmp_path / "whole.npy").exists()


def test_a_custom_model_travels_in_the_container(store: Path, codec: nvc_jax.Codec) -> None:
    assert sorted(entry.name for entry in store.iterdir()) == ["c", "zarr.json"]
    expected = nvc_jax.decode_volume(codec, nvc_jax.encode_volume(codec, VOLUME))
    np.testing.assert_array_equal(nvc_jax.open(store).read().result(), expected)
    assert containers.info(store)["chunk"] == [8, 16, 16]


def test_constant_volumes_are_exact(tmp_path: Path) -> None:
    volume = np.full((9, 8, 7), -3.25, np.float32)
    nvc_jax.compress(volume, tmp_path / "v.zarr", model="two-wide-margin")
    measures = nvc_jax.evaluate(volume, tmp_path / "v.zarr")
    assert measures["mse"] == 0
    assert measures["psnr_db"] == np.inf


@pytest.mark.parametrize("offset", [0, 7, 60])
def test_flipped_bits_are_found(offset: int, store: Path) -> None:
    chunk = next(file for file in sorted((store / "c").rglob("*")) if file.is_file())
    data = bytearray(chunk.read_bytes())
    data[offset] ^= 4
    chunk.write_bytes(data)
    with pytest.raises(FormatError, match="is damaged"):
        nvc_jax.evaluate(VOLUME, store)


CONFIGURATION = ("codecs", 0, "configuration")


def damage_metadata(store: Path, path: tuple[str | int, ...], value: object) -> None:
    metadata = json.loads((store / "zarr.json").read_text())
    *parents, last = path
    place = metadata
    for key in parents:
        place = place[key]
    place[last] = value
    (store / "zarr.json").write_text(json.dumps(metadata))


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ((*CONFIGURATION, "version"), 99, "upgrade"),
        ((*CONFIGURATION, "minimum"), None, "damaged"),
        ((*CONFIGURATION, "minimum"), 1e9, "ordered"),
        ((*CONFIGURATION, "sha256"), "0" * 64, "not the one"),
        ((*CONFIGURATION, "embedded", "params"), "AAAA", "model is damaged"),
        ((*CONFIGURATION, "colour"), "red", "damaged"),
        ((*CONFIGURATION, "target"), {}, "one entry"),
        ((*CONFIGURATION, "max_error"), -1.0, "not be negative"),
        ((*CONFIGURATION, "step"), 1e5, "must lie between"),
        (("shape",), [21, 30], "three axes"),
        (("data_type",), "complex64", "complex64"),
        (("codecs",), [], "no Zarr v3 array"),
        (("codecs", 1), {"name": "gzip"}, "crc32c"),
        (("chunk_grid", "configuration", "chunk_shape"), [8, 16, 15], "no multiples"),
    ],
)
def test_foreign_metadata_are_named(path: tuple, value: object, message: str, store: Path) -> None:
    damage_metadata(store, path, value)
    with pytest.raises(FormatError, match=message):
        nvc_jax.open(store)


@pytest.mark.parametrize("kind", ["streams", "quantized"])
@pytest.mark.parametrize("shape", [[21, 30, 44], [13, 30, 43]])
def test_chunks_that_contradict_the_metadata_are_found(
    kind: str, shape: list[int], request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    copy = tmp_path / "v.zarr"
    shutil.copytree(request.getfixturevalue(kind), copy)
    damage_metadata(copy, ("shape",), shape)
    with pytest.raises(FormatError, match="is damaged"):
        nvc_jax.open(copy).read().result()


def test_other_stores_are_refused(store: Path, tmp_path: Path) -> None:
    write_volume(tmp_path / "plain.zarr", VOLUME)
    with pytest.raises(FormatError, match="no nvc container"):
        nvc_jax.open(tmp_path / "plain.zarr")
    with pytest.raises(FileNotFoundError, match="does not exist"):
        nvc_jax.open(tmp_path / "nothing.zarr")
    damage_metadata(store, (*CONFIGURATION, "embedded"), None)
    with pytest.raises(FileNotFoundError, match="neither a shipped model"):
        nvc_jax.open(store)
    (store / "zarr.json").write_text("{")
    with pytest.raises(FormatError, match="no readable Zarr"):
        nvc_jax.open(store)


def test_bad_input_leaves_nothing_behind(tmp_path: Path, codec: nvc_jax.Codec) -> None:
    target = tmp_path / "v.zarr"
    with pytest.raises(ValueError, match="three axes"):
        nvc_jax.compress(VOLUME[0], target)
    with pytest.raises(ValueError, match="no side may be empty"):
        nvc_jax.compress(VOLUME[:0], target)
    with pytest.raises(TypeError, match="complex64"):
        nvc_jax.compress(VOLUME.astype(np.complex64), target)
    with pytest.raises(TypeError, match="float64"):
        nvc_jax.compress(VOLUME.astype(float), target, model=codec)
    with pytest.raises(ValueError, match=r"`chunk` \(=6,8,8\)"):
        nvc_jax.compress(VOLUME, target, model=codec, chunks=(6, 8, 8))
    with pytest.raises(FileNotFoundError, match="neither a shipped model"):
        nvc_jax.compress(VOLUME, target, model="nvc-99")
    with pytest.raises(FileNotFoundError, match="directory of"):
        nvc_jax.compress(VOLUME, tmp_path / "no" / "v.zarr")
    assert not list(tmp_path.iterdir())


def test_a_source_is_never_replaced_by_its_own_result(store: Path, tmp_path: Path) -> None:
    write_volume(tmp_path / "plain.zarr", VOLUME)
    with pytest.raises(ValueError, match="is the source itself"):
        nvc_jax.compress(tmp_path / "plain.zarr", tmp_path / "." / "plain.zarr")
    with pytest.raises(ValueError, match="is the source itself"):
        nvc_jax.decompress(store, str(store))
    np.testing.assert_array_equal(read_volume(tmp_path / "plain.zarr"), VOLUME)


def test_bad_requests_are_named(store: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="must lie within"):
        nvc_jax.decompress(store, tmp_path / "v.npy", region=(slice(0, 22), slice(None), slice(None)))
    with pytest.raises(ValueError, match="must lie within"):
        nvc_jax.decompress(store, tmp_path / "v.npy", region=(slice(4, 4), slice(None), slice(None)))
    with pytest.raises(ValueError, match="suffix must be one of"):
        nvc_jax.decompress(store, tmp_path / "v.tiff")
    with pytest.raises(ValueError, match="`mode`"):
        nvc_jax.open(store, mode="average")
    with pytest.raises(ValueError, match="has shape"):
        nvc_jax.evaluate(VOLUME[1:], store)
    assert [entry.name for entry in tmp_path.iterdir()] == ["v.zarr"]


@pytest.fixture(scope="module")
def streams(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("streams") / "v.zarr"
    nvc_jax.compress(VOLUME, path, model="nvc-1", step=0.02, chunks=(16, 16, 24))
    return path


def test_streams_give_what_the_codec_gives(tmp_path: Path) -> None:
    nvc_jax.compress(VOLUME, tmp_path / "v.zarr", step=0.02)  # nvc-1 is the default, and one chunk holds it
    codec = nvc_jax.load_codec("nvc-1")
    expected = nvc_jax.decode_volume(codec, nvc_jax.encode_volume(codec, VOLUME, step=0.02))
    np.testing.assert_array_equal(nvc_jax.open(tmp_path / "v.zarr").read().result(), expected)


def test_regions_of_streams_are_those_of_the_whole(streams: Path, tmp_path: Path) -> None:
    view = nvc_jax.open(streams)
    whole = view.read().result()
    assert nvc_jax.evaluate(VOLUME, streams)["psnr_db"] > 40
    for region in [np.s_[0:1, 0:1, 0:1], np.s_[3:19, 15:17, 20:43], np.s_[20:21, 29:30, 42:43]]:
        np.testing.assert_array_equal(view[region].read().result(), whole[region])
        nvc_jax.decompress(streams, tmp_path / "r.npy", region=region)
        np.testing.assert_array_equal(np.load(tmp_path / "r.npy"), whole[region])


@pytest.mark.parametrize("psnr", [32.0, 45.0, 58.0])
def test_psnr_is_met(psnr: float, tmp_path: Path) -> None:
    volume = VOLUME.astype(np.float32)
    nvc_jax.compress(volume, tmp_path / "v.zarr", psnr=psnr)
    assert abs(nvc_jax.evaluate(volume, tmp_path / "v.zarr")["psnr_db"] - psnr) < 0.1


def test_constant_volumes_meet_any_psnr(tmp_path: Path) -> None:
    volume = np.full((9, 8, 7), 4, np.uint8)
    for model in ("nvc-1", "zero-margin"):
        nvc_jax.compress(volume, tmp_path / "v.zarr", psnr=40, model=model)
        assert nvc_jax.evaluate(volume, tmp_path / "v.zarr")["mse"] == 0


@pytest.fixture(scope="module")
def quantized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("quantized") / "v.zarr"
    nvc_jax.compress(VOLUME, path, model="two-wide-margin", step=0.25, chunks=(16, 16, 24))
    return path


@pytest.mark.parametrize("mode", ["blend", "crop"])
def test_chunks_of_latents_give_what_the_codec_gives(mode: str, quantized: Path, tmp_path: Path) -> None:
    codec = nvc_jax.load_codec("two-wide-margin")
    decoded = nvc_jax.decode_volume(codec, nvc_jax.encode_volume(codec, VOLUME, step=0.25), mode=mode)
    whole = np.asarray(decoded).astype(int)
    view = nvc_jax.open(quantized, mode=mode)
    for region in [
        np.s_[:, :, :],
        np.s_[0:1, 0:1, 0:1],
        np.s_[3:19, 15:17, 20:43],
        np.s_[20:21, 29:30, 42:43],
    ]:
        assert np.abs(view[region].read().result() - whole[region]).max() <= 1
        nvc_jax.decompress(quantized, tmp_path / "r.npy", region=region, mode=mode)
        assert np.abs(np.load(tmp_path / "r.npy") - whole[region]).max() <= 1


def test_quantized_latents_are_smaller(quantized: Path, tmp_path: Path) -> None:
    nvc_jax.compress(VOLUME, tmp_path / "float.zarr", model="two-wide-margin")
    floats, integers = (nvc_jax.evaluate(VOLUME, path) for path in (tmp_path / "float.zarr", quantized))
    assert integers["psnr_db"] > floats["psnr_db"] - 1
    assert integers["bits_per_voxel"] < 0.6 * floats["bits_per_voxel"]
    described = containers.info(quantized)
    assert (described["step"], described["chunk"]) == (0.25, [16, 16, 24])
    assert described["bits_per_voxel"] == integers["bits_per_voxel"]


@pytest.mark.parametrize("model", ["zero-margin", "more-parameters"])
def test_psnr_is_met_by_latents(model: str, tmp_path: Path) -> None:
    volume = VOLUME.astype(np.float32)
    nvc_jax.compress(volume, tmp_path / "v.zarr", model=model)
    best = nvc_jax.evaluate(volume, tmp_path / "v.zarr")["psnr_db"]
    for psnr in (best - 3, best - 0.02):
        nvc_jax.compress(volume, tmp_path / "v.zarr", model=model, psnr=psnr)
        assert abs(nvc_jax.evaluate(volume, tmp_path / "v.zarr")["psnr_db"] - psnr) < 0.1
    with pytest.raises(ValueError, match=f"reaches {best:.2f} dB at best"):
        nvc_jax.compress(volume, tmp_path / "w.zarr", model=model, psnr=best + 0.1)
    assert [entry.name for entry in tmp_path.iterdir()] == ["v.zarr"]


def test_custom_models_quantize(codec: nvc_jax.Codec, tmp_path: Path) -> None:
    nvc_jax.compress(VOLUME, tmp_path / "v.zarr", model=codec, step=0.001)
    expected = nvc_jax.decode_volume(codec, nvc_jax.encode_volume(codec, VOLUME)).astype(int)
    assert np.abs(nvc_jax.open(tmp_path / "v.zarr").read().result() - np.asarray(expected)).max() <= 2


def test_damaged_streams_are_found(streams: Path, tmp_path: Path) -> None:
    copy = tmp_path / "v.zarr"
    shutil.copytree(streams, copy)
    chunk = copy / "c" / "0" / "0" / "0"
    data = bytearray(chunk.read_bytes())
    data[len(data) // 2] ^= 1
    chunk.write_bytes(data)
    with pytest.raises(FormatError, match=r"chunk \(0, 0, 0\) .* is damaged"):
        nvc_jax.evaluate(VOLUME, copy)


def test_wrong_rates_are_named(tmp_path: Path) -> None:
    for arguments, message in [
        ({"step": 2.5}, "`step`"),
        ({"psnr": 5.0}, "`psnr`"),
        ({"psnr": 40.0, "step": 0.1}, "exclude each other"),
        ({"max_error": 1.0, "lossless": True}, "exclude each other"),
        ({"max_error": -1.0}, "`max_error`"),
        ({"relative_error": np.nan}, "`relative_error`"),
        ({"max_error": 1.0, "model": "zero-margin"}, "needs a spectral model"),
        ({"psnr": 60.0, "model": "zero-margin"}, "reaches 2[0-9].* dB at best"),
        ({"step": 0.0, "model": "zero-margin"}, "`step`"),
    ]:
        with pytest.raises(ValueError, match=message):
            nvc_jax.compress(VOLUME, tmp_path / "v.zarr", **arguments)
    assert not list(tmp_path.iterdir())
