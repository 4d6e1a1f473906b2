"""What keeps volumes larger than memory possible: reads, programs and results do not grow with the volume."""

import threading
from pathlib import Path

import jax
import numpy as np
import pytest
import tensorstore as ts

import nvc_jax
from nvc_jax.chunks.preview import block_means
from nvc_jax.cli.demo import SAMPLE
from nvc_jax.compression.progress import Progress
from nvc_jax.container.reader import Reader
from nvc_jax.core.concurrency import map_in_order
from nvc_jax.evaluation import containers
from nvc_jax.io.lazy import read_region
from nvc_jax.io.metadata import VolumeMetadata
from nvc_jax.io.volumes import read_metadata, read_volume
from nvc_jax.io.writers import write_volume

VOLUME = read_volume(SAMPLE)[:61, :40, :44]
CHUNK = (16, 16, 24)
MARGINS = {"model": "two-wide-margin", "step": 0.3, "chunks": (8, 8, 8)}


def watch(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many voxels of the source are asked for at a time, from now on."""
    sizes: list[int] = []

    def noted(volume: ts.TensorStore, place: tuple[slice, ...]) -> np.ndarray:
        sizes.append(volume[place].size)
        return read_region(volume, place)

    for module in ("pipeline", "streams", "windows"):
        monkeypatch.setattr(f"nvc_jax.{module}.read_region", noted)
    return sizes


def watch_decoding(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Which chunks are decoded, from now on."""
    decoded: list[tuple[int, ...]] = []
    decode = Reader.decode_chunk
    monkeypatch.setattr(Reader, "decode_chunk", lambda self, i: decoded.append(i) or decode(self, i))
    return decoded


@pytest.mark.parametrize("target", [{"step": 0.02}, {"max_error": 3}, {"psnr": 38}, {"lossless": True}])
def test_sources_are_read_piece_by_piece(
    target: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nvc_jax.compression.compress._SURVEY_SIDE", 8)
    sizes = watch(monkeypatch)
    nvc_jax.compress(VOLUME, tmp_path / "v.zarr", chunks=CHUNK, **target)
    assert max(sizes) == 16 * 16 * 24
    containers.verify(VOLUME, tmp_path / "v.zarr")


@pytest.mark.parametrize("model", ["zero-margin", "two-wide-margin"])
def test_margins_are_read_with_their_surroundings(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nvc_jax.compression.compress._SURVEY_SIDE", 8)
    sizes = watch(monkeypatch)
    nvc_jax.compress(VOLUME, tmp_path / "v.zarr", chunks=(8, 8, 8), model=model)
    assert max(sizes) == (8 if model == "zero-margin" else 40) ** 3


def compilations(work: object) -> list[str]:
    """Programs that were compiled, or found on disk, while ``work`` ran."""
    found: list[str] = []

    def listen(event: str, _: float, **details: object) -> None:
        if event == "/jax/core/compile/backend_compile_duration":
            found.append(str(details.get("fun_name")))

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        work()  # type: ignore[operator]
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
    return found


@pytest.mark.parametrize(
    "options",
    [{"step": 0.02}, {"max_error": 3}, {"lossless": True}, MARGINS],
)
def test_more_chunks_take_no_more_programs(options: dict, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    volume = (VOLUME + rng.normal(0, 1, VOLUME.shape)).astype(np.float32)

    def run(part: np.ndarray) -> None:
        nvc_jax.compress(part, tmp_path / "v.zarr", **{"chunks": (16, 16, 16)} | options)
        nvc_jax.decompress(tmp_path / "v.zarr", tmp_path / "v.npy")

    run(volume[:, :, :40] * 1.1)
    assert compilations(lambda: run(np.tile(volume, (1, 2, 1)))) == []


def test_compilations_are_counted() -> None:
    assert len(compilations(lambda: jax.jit(lambda x: x * 3.25 + 1.5)(np.ones(7, np.float32)))) == 1


@pytest.mark.parametrize("mode", ["blend", "crop"])
def test_margins_do_not_end_at_chunks(mode: str, tmp_path: Path) -> None:
    decoded = []
    for number, chunk in enumerate([(64, 40, 48), (16, 16, 24), (8, 40, 8)]):
        nvc_jax.compress(VOLUME, tmp_path / f"{number}.zarr", chunks=chunk, model="two-wide-margin")
        decoded.append(nvc_jax.open(tmp_path / f"{number}.zarr", mode=mode).read().result().astype(int))
    assert np.abs(decoded[1] - decoded[0]).max() <= 1
    assert np.abs(decoded[2] - decoded[0]).max() <= 1


def smooth(dtype: str) -> np.ndarray:
    z, y, x = np.indices((37, 40, 43))
    wave = 50 * np.sin(z / 9 + y / 11) * np.cos(x / 13) + 60
    return wave.astype(dtype)


@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64"])
@pytest.mark.parametrize("target", [{"step": 0.005}, {"max_error": 0.5}, {"lossless": True}])
def test_previews_are_means_of_blocks(target: dict, dtype: str, tmp_path: Path) -> None:
    volume = smooth(dtype)
    nvc_jax.compress(volume, tmp_path / "v.zarr", chunks=CHUNK, **target)
    view = nvc_jax.open(tmp_path / "v.zarr", level="preview")
    assert (view.shape, view.dtype.numpy_dtype) == ((5, 5, 6), np.dtype(dtype))
    preview = view.read().result()
    error = np.abs(preview.astype(float) - block_means(volume.astype(float)))
    # Of a range of 100: what is coded is the mean of a block that reaches into its neighbours.
    assert error.mean() < 2.5
    assert error.max() < 10
    nvc_jax.decompress(tmp_path / "v.zarr", tmp_path / "p.npy", level="preview")
    np.testing.assert_array_equal(np.load(tmp_path / "p.npy"), preview)
    np.testing.assert_array_equal(view[1:3, 2:, 3:4].read().result(), preview[1:3, 2:, 3:4])


def test_previews_of_latents_and_of_what_is_missing(tmp_path: Path) -> None:
    volume = smooth("float32")
    nvc_jax.compress(volume, tmp_path / "v.zarr", chunks=CHUNK, model="two-wide-margin")
    whole = nvc_jax.open(tmp_path / "v.zarr").read().result()
    preview = nvc_jax.open(tmp_path / "v.zarr", level="preview").read().result()
    np.testing.assert_allclose(preview, block_means(whole), rtol=1e-5)
    volume[:, :16, :16] = -9999
    volume[8:16, 24:32, 8:16] = np.nan
    nvc_jax.compress(volume, tmp_path / "v.zarr", chunks=CHUNK, step=0.005)
    preview = nvc_jax.open(tmp_path / "v.zarr", level="preview").read().result()
    assert (preview[:, :2, :2] == -9999).all()
    assert np.isnan(preview[1, 3, 1])
    assert np.isfinite(preview).sum() == preview.size - 1
    with pytest.raises(ValueError, match="`level`"):
        nvc_jax.open(tmp_path / "v.zarr", level="half")


@pytest.mark.parametrize("model", ["zero-margin", "two-wide-margin", "nvc-1"])
def test_what_is_missing_does_not_count_in_previews(model: str, tmp_path: Path) -> None:
    volume = smooth("float32")
    volume[:, 3:5] = -9999
    nvc_jax.compress(volume, tmp_path / "v.zarr", chunks=CHUNK, model=model)
    assert nvc_jax.open(tmp_path / "v.zarr", level="preview").read().result().min() > 0


def test_previews_do_not_decode_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nvc_jax.compress(VOLUME, tmp_path / "v.zarr", chunks=CHUNK, step=0.02)

    def fail(*_: object) -> None:
        raise AssertionError("decoded a whole stream")

    for name in ("decode_symbols", "reconstruct", "decode"):
        monkeypatch.setattr(f"nvc_jax.spectral.encoder.{name}", fail)
    assert nvc_jax.open(tmp_path / "v.zarr", level="preview").read().result().shape == (8, 5, 6)


def test_decoded_chunks_are_kept_for_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nvc_jax.compress(VOLUME, tmp_path / "v.zarr", chunks=CHUNK, step=0.02)
    decoded = watch_decoding(monkeypatch)
    for cache_bytes in (1 << 20, 0):
        view = nvc_jax.open(tmp_path / "v.zarr", cache_bytes=cache_bytes)
        decoded.clear()
        for _ in range(20):
            view[3, 4, 5].read().result()
        assert set(decoded) == {(0, 0, 0)}
        # Without a cache, too, a chunk may still be there when the next read begins at once.
        assert (len(decoded) == 1) == (cache_bytes > 0)


def test_a_read_takes_its_chunks_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nvc_jax.compress(VOLUME, tmp_path / "v.zarr", chunks=CHUNK, shards=(32, 32, 48), step=0.02)
    view = nvc_jax.open(tmp_path / "v.zarr", cache_bytes=0)
    store = Reader(tmp_path / "v.zarr").store
    decoded = watch_decoding(monkeypatch)

    def bytes_read() -> int:
        metrics = ts.experimental_collect_matching_metrics("/tensorstore/kvstore/file/bytes_read")
        return int(sum(value["value"] for metric in metrics for value in metric["values"]))

    view[50, 35, 40].read().result()  # of none of them, for what is read once
    decoded.clear()
    before = bytes_read()
    view[14:18, 3:5, 23:25].read().result()
    after = bytes_read() - before
    chunks = {(z, 0, x) for z in (0, 1) for x in (0, 1)}
    assert set(decoded) == chunks
    stored = {index: len(store.read(index)) + 4 for index in chunks}
    # Without a cache TensorStore may ask for a chunk more than once: each time counts.
    asked = sum(stored[index] for index in decoded)
    index_bytes = 8 * 16 + 4  # of a shard of 2 × 2 × 2 chunks, where it was not kept
    assert asked <= after <= asked + len(decoded) * index_bytes
    whole = sum(file.stat().st_size for file in (tmp_path / "v.zarr" / "c").rglob("*") if file.is_file())
    assert sum(stored.values()) < whole / 2


def test_progress_is_told(tmp_path: Path) -> None:
    told: list[Progress] = []
    nvc_jax.compress(VOLUME, tmp_path / "v.zarr", chunks=CHUNK, step=0.02, on_progress=told.append)
    assert len(told) == 4 * 3 * 2
    assert [now.done_bytes for now in told] == sorted(now.done_bytes for now in told)
    assert told[-1].done_bytes == told[-1].total_bytes == VOLUME.nbytes
    assert 0 < told[-1].stored_bytes < VOLUME.nbytes
    told.clear()
    nvc_jax.decompress(tmp_path / "v.zarr", tmp_path / "v.npy", on_progress=told.append)
    assert told[-1].done_bytes == told[-1].total_bytes == VOLUME.nbytes


def test_coordinates_are_kept(tmp_path: Path) -> None:
    about = VolumeMetadata(
        ("depth", "lat", "lon"), (2.0, 0.5, 0.25), (10.0, -90.0, 0.0), None, {"title": "Ocean"}
    )
    write_volume(tmp_path / "source.zarr", VOLUME, metadata=about)
    nvc_jax.compress(tmp_path / "source.zarr", tmp_path / "v.zarr", chunks=CHUNK, step=0.02)
    nvc_jax.decompress(tmp_path / "v.zarr", tmp_path / "copy.zarr")
    for path in ("v.zarr", "copy.zarr"):
        found = read_metadata(tmp_path / path)
        assert found.dimension_names == about.dimension_names
        assert (found.spacing, found.origin) == (about.spacing, about.origin)
        assert found.attributes["title"] == "Ocean"
    nvc_jax.decompress(tmp_path / "v.zarr", tmp_path / "p.zarr", level="preview")
    preview = read_metadata(tmp_path / "p.zarr")
    assert preview.spacing == (16.0, 4.0, 2.0)
    assert preview.origin == (17.0, -88.25, 0.875)
    region = (slice(2, 10), slice(4, 8), slice(8, 16))
    nvc_jax.decompress(tmp_path / "v.zarr", tmp_path / "r.zarr", region=region)
    assert read_metadata(tmp_path / "r.zarr").origin == (14.0, -88.0, 2.0)


def test_results_come_in_order_and_work_is_bounded() -> None:
    begun, lock = [], threading.Lock()

    def work(item: int) -> int:
        with lock:
            begun.append(item)
        return item * item

    results = map_in_order(work, iter(range(100)), n_workers=2)
    assert next(results) == 0
    assert len(begun) <= 6
    assert list(results) == [i * i for i in range(1, 100)]

    def fail(item: int) -> int:
        if item == 3:
            raise OSError("item 3")
        return item

    results = map_in_order(fail, range(100))
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(OSError, match="item 3"):
        next(results)
