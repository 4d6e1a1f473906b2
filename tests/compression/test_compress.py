from pathlib import Path

import jax
import numpy as np
import pytest
from drawn_params import draw_params
from model_kinds import registered
from stored_files import read_files
from tiny_model.batching import BATCHING_KIND, ENCODED
from tiny_model.config import BlockMeanConfig
from tiny_model.model import BlockMeanModel
from tiny_model.training import BlockMeanTraining

import nvc_jax
from nvc_jax.autoencoder.config import DenseConfig
from nvc_jax.cli.demo import SAMPLE
from nvc_jax.compression.progress import ByteProgress
from nvc_jax.core.devices import sharing_out
from nvc_jax.io.volumes import read_volume
from nvc_jax.io.writers import write_volume
from nvc_jax.models.registry import ModelKind

CONFIG = DenseConfig(block_size=4, margin=1, latent_dim=3, hidden_sizes=(8,))
VOLUME = read_volume(SAMPLE)[:21, :30, :43]
CHUNK = (16, 16, 24)


@pytest.fixture(scope="module")
def codec() -> nvc_jax.Codec:
    return nvc_jax.Codec(CONFIG, draw_params(CONFIG))


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
@pytest.mark.parametrize("mode", ["blend", "crop"])
def test_a_container_decodes_to_what_the_codec_decodes_to(dtype: str, mode: str, tmp_path: Path) -> None:
    volume = VOLUME.astype(dtype)
    nvc_jax.compress(volume, tmp_path / "v.zarr", model="two-wide-margin")
    codec = nvc_jax.load_codec("two-wide-margin")
    expected = nvc_jax.decode_volume(codec, nvc_jax.encode_volume(codec, volume), mode=mode)
    nvc_jax.decompress(tmp_path / "v.zarr", tmp_path / "w.npy", mode=mode)
    decoded = np.load(tmp_path / "w.npy")
    assert decoded.dtype == volume.dtype
    np.testing.assert_array_equal(decoded, expected)


def test_streams_decode_to_what_the_codec_decodes_to(tmp_path: Path) -> None:
    volume = VOLUME[:13, :16, :16]
    nvc_jax.compress(volume, tmp_path / "v.zarr", step=0.02)  # nvc-1 is the default, and one chunk holds it
    codec = nvc_jax.load_codec("nvc-1")
    expected = nvc_jax.decode_volume(codec, nvc_jax.encode_volume(codec, volume, step=0.02))
    np.testing.assert_array_equal(nvc_jax.open(tmp_path / "v.zarr").read().result(), expected)


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


def test_the_metadata_of_a_default_container_are_short(tmp_path: Path) -> None:
    nvc_jax.compress(VOLUME[:16, :16, :24].astype(np.float32) / 7, tmp_path / "v.zarr")
    assert (tmp_path / "v.zarr" / "zarr.json").stat().st_size <= 560


def test_a_custom_model_travels_in_the_container(codec: nvc_jax.Codec, tmp_path: Path) -> None:
    store = tmp_path / "v.zarr"
    nvc_jax.compress(VOLUME, store, model=codec, chunks=(8, 16, 16))
    assert sorted(entry.name for entry in store.iterdir()) == ["c", "zarr.json"]
    expected = nvc_jax.decode_volume(codec, nvc_jax.encode_volume(codec, VOLUME))
    np.testing.assert_array_equal(nvc_jax.open(store).read().result(), expected)
    assert nvc_jax.info(store)["chunk"] == [8, 16, 16]


def test_custom_models_quantize(codec: nvc_jax.Codec, tmp_path: Path) -> None:
    nvc_jax.compress(VOLUME, tmp_path / "v.zarr", model=codec, step=0.001)
    expected = nvc_jax.decode_volume(codec, nvc_jax.encode_volume(codec, VOLUME)).astype(int)
    assert np.abs(nvc_jax.open(tmp_path / "v.zarr").read().result() - np.asarray(expected)).max() <= 2


def test_constant_volumes_are_exact(tmp_path: Path) -> None:
    volume = np.full((9, 8, 7), -3.25, np.float32)
    nvc_jax.compress(volume, tmp_path / "v.zarr", model="two-wide-margin")
    measures = nvc_jax.evaluate(volume, tmp_path / "v.zarr")
    assert measures["mse"] == 0
    assert measures["psnr_db"] == np.inf


def test_constant_volumes_meet_any_psnr(tmp_path: Path) -> None:
    volume = np.full((9, 8, 7), 4, np.uint8)
    for model in ("nvc-1", "zero-margin"):
        nvc_jax.compress(volume, tmp_path / "v.zarr", psnr=40, model=model)
        assert nvc_jax.evaluate(volume, tmp_path / "v.zarr")["mse"] == 0


@pytest.mark.parametrize("psnr", [32.0, 45.0, 58.0])
def test_psnr_is_met(psnr: float, tmp_path: Path) -> None:
    volume = VOLUME[:, :, :24].astype(np.float32)
    nvc_jax.compress(volume, tmp_path / "v.zarr", psnr=psnr, chunks=CHUNK)
    assert abs(nvc_jax.evaluate(volume, tmp_path / "v.zarr")["psnr_db"] - psnr) < 0.1


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


def test_quantized_latents_are_smaller(tmp_path: Path) -> None:
    paths = (tmp_path / "float.zarr", tmp_path / "integer.zarr")
    nvc_jax.compress(VOLUME, paths[0], model="two-wide-margin")
    nvc_jax.compress(VOLUME, paths[1], model="two-wide-margin", step=0.25, chunks=CHUNK)
    floats, integers = (nvc_jax.evaluate(VOLUME, path) for path in paths)
    assert integers["psnr_db"] > floats["psnr_db"] - 1
    assert integers["bits_per_voxel"] < 0.6 * floats["bits_per_voxel"]
    described = nvc_jax.info(paths[1])
    assert (described["step"], described["chunk"]) == (0.25, [16, 16, 24])
    assert described["bits_per_voxel"] == integers["bits_per_voxel"]


def test_progress_is_reported_chunk_by_chunk(tmp_path: Path) -> None:
    reports: list[ByteProgress] = []
    nvc_jax.compress(VOLUME, tmp_path / "v.zarr", chunks=CHUNK, step=0.02, on_progress=reports.append)
    assert len(reports) == 1 + 2 * 2 * 2
    assert reports[0] == ByteProgress(0, VOLUME.nbytes, 0, CHUNK, str(VOLUME.dtype))
    assert [report.done_bytes for report in reports] == sorted(report.done_bytes for report in reports)
    assert reports[-1].done_bytes == reports[-1].total_bytes == VOLUME.nbytes
    assert 0 < reports[-1].stored_bytes < VOLUME.nbytes


def test_bad_input_leaves_nothing_behind(tmp_path: Path, codec: nvc_jax.Codec) -> None:
    target = tmp_path / "v.zarr"
    with pytest.raises(ValueError, match="2 to 5 axes"):
        nvc_jax.compress(VOLUME[0, 0], target)
    with pytest.raises(ValueError, match="no side may be empty"):
        nvc_jax.compress(VOLUME[:0], target)
    with pytest.raises(TypeError, match="complex64"):
        nvc_jax.compress(VOLUME.astype(np.complex64), target)
    with pytest.raises(TypeError, match="float64"):
        nvc_jax.compress(VOLUME.astype(float), target, model=codec)
    with pytest.raises(ValueError, match=r"`chunks` \(=6,8,8\)"):
        nvc_jax.compress(VOLUME, target, model=codec, chunks=(6, 8, 8))
    with pytest.raises(FileNotFoundError, match="neither a shipped model"):
        nvc_jax.compress(VOLUME, target, model="nvc-99")
    with pytest.raises(FileNotFoundError, match="directory of"):
        nvc_jax.compress(VOLUME, tmp_path / "no" / "v.zarr")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"step": 2.5}, "`step`"),
        ({"psnr": 5.0}, "`psnr`"),
        ({"psnr": 40.0, "step": 0.1}, "exclude each other"),
        ({"max_error": 1.0, "lossless": True}, "exclude each other"),
        ({"max_error": -1.0}, "`max_error`"),
        ({"relative_error": np.nan}, "`relative_error`"),
        ({"max_error": 1.0, "model": "zero-margin"}, "needs a spectral model"),
        ({"psnr": 60.0, "model": "zero-margin"}, "reaches 2[0-9].* dB at best"),
        ({"step": 0.0, "model": "zero-margin"}, "`step`"),
        (
            {"max_error": 1, "chunks": (16, 16, 16), "shards": (16, 16, 24)},
            r"`shards` \(=16,16,24\) must be 3 positive multiples",
        ),
        ({"max_error": 1, "part": (3, 3)}, r"`part` \(=\(3, 3\)\)"),
        ({"max_error": 1, "part": (-1, 3)}, "`part`"),
    ],
)
def test_wrong_options_are_named_and_leave_nothing_behind(
    options: dict, message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        nvc_jax.compress(VOLUME, tmp_path / "v.zarr", **options)
    assert not list(tmp_path.iterdir())


def test_numbers_of_numpy_are_taken(tmp_path: Path) -> None:
    chunk = tuple(np.array([16, 16, 16]))
    options = {"max_error": np.float32(2), "missing_values": [np.float32(7), np.nan], "chunks": chunk}
    nvc_jax.compress(VOLUME, tmp_path / "v.zarr", **options)
    assert nvc_jax.info(tmp_path / "v.zarr")["fill_values"] == [7.0]


def test_files_are_replaced_by_containers_where_the_user_says_so(tmp_path: Path) -> None:
    (tmp_path / "v.nvc").write_text("an old file")
    options = {"max_error": 2, "chunks": (16, 16, 16)}
    with pytest.raises(FileExistsError, match=r"v.nvc` is an existing file"):
        nvc_jax.compress(VOLUME, tmp_path / "v.nvc", **options)
    assert (tmp_path / "v.nvc").read_text() == "an old file"
    nvc_jax.compress(VOLUME, tmp_path / "v.nvc", **options, overwrite=True)
    nvc_jax.verify(VOLUME, tmp_path / "v.nvc")
    assert [entry.name for entry in tmp_path.iterdir()] == ["v.nvc"]


def test_a_source_is_never_replaced_by_its_own_container(tmp_path: Path) -> None:
    write_volume(tmp_path / "plain.zarr", VOLUME)
    with pytest.raises(ValueError, match="is the source itself"):
        nvc_jax.compress(tmp_path / "plain.zarr", tmp_path / "." / "plain.zarr")
    np.testing.assert_array_equal(read_volume(tmp_path / "plain.zarr"), VOLUME)


def test_a_source_within_the_destination_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "v.zarr").mkdir()
    (tmp_path / "v.zarr" / "zarr.json").write_text('{"zarr_format": 3, "node_type": "group"}')
    write_volume(tmp_path / "v.zarr" / "scan.zarr", VOLUME)
    with pytest.raises(ValueError, match="holds the source itself"):
        nvc_jax.compress(tmp_path / "v.zarr" / "scan.zarr", tmp_path / "v.zarr", max_error=2)


@pytest.mark.parametrize("target", [{"psnr": 25.0}, {"max_error": 0.3}, {"lossless": True}], ids=str)
def test_batches_on_all_devices_make_the_container_of_chunks_alone(
    target: dict[str, float], tmp_path: Path
) -> None:
    volume = np.random.default_rng(0).normal(size=(8, 19, 60)).astype(np.float32)
    volume[:, 3:9, 20:30] = np.nan
    volume[:, :8, 40:50] = 1.0
    codec = nvc_jax.Codec(BlockMeanConfig(), {"pattern": np.zeros((2, 2, 2), np.float32)})

    def compress(path: Path) -> None:
        nvc_jax.compress(volume, path, model=codec, chunks=(8, 8, 8), shards=(8, 16, 16), **target)

    with registered(ModelKind(BlockMeanConfig, BlockMeanModel, BlockMeanTraining)):
        compress(tmp_path / "alone.zarr")
    ENCODED.clear()
    with registered(BATCHING_KIND), sharing_out(jax.devices()):
        compress(tmp_path / "v.zarr")
    assert read_files(tmp_path / "v.zarr") == read_files(tmp_path / "alone.zarr")
    assert set(ENCODED) <= {3}
    assert bool(ENCODED) == ("lossless" not in target)
