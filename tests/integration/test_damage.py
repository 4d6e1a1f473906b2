"""Damaged and foreign containers are found and named."""

import shutil
from pathlib import Path

import pytest
from drawn_params import draw_params
from stored_metadata import CONFIGURATION, change_metadata

import nvc_jax
from nvc_jax.autoencoder.config import DenseConfig
from nvc_jax.cli.demo import SAMPLE
from nvc_jax.io.volumes import read_volume
from nvc_jax.io.writers import write_volume

CONFIG = DenseConfig(block_size=4, margin=1, latent_dim=3, hidden_sizes=(8,))
VOLUME = read_volume(SAMPLE)[:21, :30, :43]


@pytest.fixture(scope="module")
def undamaged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("undamaged") / "v.zarr"
    codec = nvc_jax.Codec(CONFIG, draw_params(CONFIG))
    nvc_jax.compress(VOLUME, path, model=codec, chunks=(8, 16, 16))
    return path


@pytest.fixture
def store(undamaged: Path, tmp_path: Path) -> Path:
    """Container of a model that it holds itself, to be damaged."""
    return Path(shutil.copytree(undamaged, tmp_path / "v.zarr"))


@pytest.fixture(scope="module")
def streams(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("streams") / "v.zarr"
    nvc_jax.compress(VOLUME, path, model="nvc-1", step=0.02, chunks=(16, 16, 24))
    return path


@pytest.fixture(scope="module")
def quantized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("quantized") / "v.zarr"
    nvc_jax.compress(VOLUME, path, model="two-wide-margin", step=0.25, chunks=(16, 16, 24))
    return path


@pytest.mark.parametrize("offset", [0, 7, 60])
def test_flipped_bits_are_found(offset: int, store: Path) -> None:
    chunk = next(file for file in sorted((store / "c").rglob("*")) if file.is_file())
    data = bytearray(chunk.read_bytes())
    data[offset] ^= 4
    chunk.write_bytes(data)
    with pytest.raises(nvc_jax.FormatError, match="is damaged"):
        nvc_jax.evaluate(VOLUME, store)


def test_flipped_bits_of_streams_are_found(streams: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(streams, tmp_path / "v.zarr"))
    chunk = copy / "c" / "0" / "0" / "0"
    data = bytearray(chunk.read_bytes())
    data[len(data) // 2] ^= 1
    chunk.write_bytes(data)
    with pytest.raises(nvc_jax.FormatError, match=r"chunk \(0, 0, 0\) .* is damaged"):
        nvc_jax.evaluate(VOLUME, copy)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ((*CONFIGURATION, "version"), 99, "upgrade"),
        ((*CONFIGURATION, "range"), None, "damaged"),
        ((*CONFIGURATION, "range"), [9, 1], "in order"),
        ((*CONFIGURATION, "sha256"), "0" * 64, "not the one"),
        ((*CONFIGURATION, "embedded", "params"), "AAAA", "model is damaged"),
        ((*CONFIGURATION, "colour"), "red", "damaged"),
        ((*CONFIGURATION, "latents"), None, "one target"),
        ((*CONFIGURATION, "bound"), -1.0, "not negative"),
        ((*CONFIGURATION, "step"), 1e5, "must lie between"),
        (("shape",), [21], "2 to 5 axes"),
        (("data_type",), "complex64", "complex64"),
        (("codecs",), [], "no Zarr v3 array"),
        (("codecs",), [{"name": "nvc", "configuration": {}}, {"name": "gzip"}], "`nvc` alone"),
        (("chunk_grid", "configuration", "chunk_shape"), [8, 16, 15], "no multiples"),
    ],
)
def test_wrong_metadata_are_named(path: tuple, value: object, message: str, store: Path) -> None:
    change_metadata(store, path, value)
    with pytest.raises(nvc_jax.FormatError, match=message):
        nvc_jax.open(store)


def test_metadata_that_contradict_themselves_are_found(sharded: Path, tmp_path: Path) -> None:
    shutil.copy(sharded / "zarr.json", tmp_path)
    change_metadata(tmp_path, ("chunk_grid", "configuration", "chunk_shape"), [16, 16, 20], seal=False)
    with pytest.raises(nvc_jax.FormatError, match="no multiples of chunks"):
        nvc_jax.open(tmp_path)


@pytest.mark.parametrize("container", ["streams", "quantized"])
@pytest.mark.parametrize("shape", [[21, 30, 44], [13, 30, 43]])
def test_chunks_that_contradict_the_metadata_are_found(
    container: str, shape: list[int], request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(request.getfixturevalue(container), tmp_path / "v.zarr"))
    for path in (("shape",), (*CONFIGURATION, "shape")):
        change_metadata(copy, path, shape)
    with pytest.raises(nvc_jax.FormatError, match="is damaged"):
        nvc_jax.open(copy).read().result()


def test_other_stores_are_refused(store: Path, tmp_path: Path) -> None:
    write_volume(tmp_path / "plain.zarr", VOLUME)
    with pytest.raises(nvc_jax.FormatError, match="no nvc container"):
        nvc_jax.open(tmp_path / "plain.zarr")
    with pytest.raises(FileNotFoundError, match="does not exist"):
        nvc_jax.open(tmp_path / "nothing.zarr")
    change_metadata(store, (*CONFIGURATION, "embedded"), None)
    with pytest.raises(FileNotFoundError, match="neither embedded nor a shipped model"):
        nvc_jax.open(store)
    (store / "zarr.json").write_text("{")
    with pytest.raises(nvc_jax.FormatError, match="no readable Zarr"):
        nvc_jax.open(store)


def test_originals_of_another_shape_are_refused(store: Path) -> None:
    with pytest.raises(ValueError, match="has shape"):
        nvc_jax.evaluate(VOLUME[1:], store)


def test_a_source_that_cannot_be_read_leaves_nothing(tmp_path: Path) -> None:
    write_volume(tmp_path / "source.zarr", VOLUME)
    chunk = next(file for file in (tmp_path / "source.zarr" / "c").rglob("*") if file.is_file())
    chunk.write_bytes(chunk.read_bytes()[:-9])
    with pytest.raises(ValueError, match=str(chunk.relative_to(tmp_path / "source.zarr"))):
        nvc_jax.compress(tmp_path / "source.zarr", tmp_path / "v.zarr", max_error=1)
    assert [entry.name for entry in tmp_path.iterdir()] == ["source.zarr"]
