"""nvc-1 beside its peers: bits, encode and decode speed, on one thread and on two, in one run.

Large test volumes are cut into nvc-1's default chunks, about 128³ voxels, which every codec codes one by one;
n threads work on n chunks at a time. Volumes are float32, in memory; nvc-1's containers are in a temporary
folder. Two targets: about 45 dB, and a bound of 1e-3 of the range. For 45 dB every codec gets the setting,
found beforehand, that reaches it on all chunks together: nvc-1 a step, SPERR a PSNR of each chunk, SZ3 and
zfp an error, of which zfp takes powers of two. nvc-1 is measured once more where it finds the step itself.
Every process runs on as many cores as it has threads. The first call, which compiles, is not timed. Speeds
are MB of the volume a second, the best of 5.

    pip install ".[bench]"
    python benchmarks/peers.py VOLUMES     # a directory with INDEX.csv, from fetch_volumes.py
"""

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, TypedDict, Unpack

import numpy as np
from common import RESULTS, geometric_mean, natural_volume, table, volumes, write_results

import nvc_jax
from nvc_jax.compression.layout import default_chunk
from nvc_jax.core.chunk_grid import chunk_regions
from nvc_jax.core.errors import largest_error, psnr_from_errors, squared_errors
from nvc_jax.core.shapes import check_shape
from nvc_jax.peers.codecs import LOSSY_PEERS, Blosc2
from nvc_jax.peers.settings import find_setting
from nvc_jax.transform.block_layout import BLOCK_SIZE

LEAST_VOXELS = 3_000_000
"""Voxels from which a test volume is large enough to keep two threads busy."""
PSNR, BOUND = 45.0, 1e-3
LARGEST_STEP = 2.0
"""Largest step that nvc-1 takes, relative to the range."""
REPEATS = 5
THREADS = (1, 2)


class Codec(NamedTuple):
    """A codec at one target.

    Attributes:
        encode: takes the volume's chunks and the number of threads.
        decode: takes what ``encode`` made, and the number of threads; returns the decoded chunks.
        n_bytes: counts the bytes of what ``encode`` made.
    """

    encode: Callable[[list[np.ndarray], int], Any]
    decode: Callable[[Any, int], list[np.ndarray]]
    n_bytes: Callable[[Any], int]


def cut(volume: np.ndarray) -> list[np.ndarray]:
    """Cut a volume into chunks, which are views of it."""
    chunk = default_chunk(check_shape(volume.shape), BLOCK_SIZE)
    return [volume[region] for region in chunk_regions(volume.shape, chunk)]


def of_chunks(encode: Callable[[np.ndarray], bytes], decode: Callable[[bytes, tuple], np.ndarray]) -> Codec:
    """Make a codec of functions for one chunk; threads share the chunks."""

    def encode_all(chunks: list[np.ndarray], threads: int) -> list[tuple[bytes, tuple]]:
        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(lambda chunk: (encode(chunk), chunk.shape), chunks))

    def decode_all(coded: list[tuple[bytes, tuple]], threads: int) -> list[np.ndarray]:
        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(lambda item: decode(*item), coded))

    return Codec(encode_all, decode_all, lambda coded: sum(len(data) for data, _ in coded))


class Target(TypedDict, total=False):
    """A target of nvc-1: one of these keyword arguments of ``compress``."""

    psnr: float
    step: float
    relative_error: float


def nvc_codec(volume: np.ndarray, folder: Path, **target: Unpack[Target]) -> Codec:
    """nvc-1, which works on several chunks at a time by itself; each run writes a container of its own."""
    numbers = itertools.count()

    def encode(_chunks: list[np.ndarray], _threads: int) -> Path:
        store = folder / f"{'-'.join(target)}-{next(numbers)}.zarr"
        nvc_jax.compress(volume, store, **target)
        return store

    def decode(path: Path, _threads: int) -> list[np.ndarray]:
        return cut(nvc_jax.open(path).read().result())

    return Codec(encode, decode, lambda path: nvc_jax.info(path)["stored_bytes"])


def peer(name: str, setting: float, bounded: bool) -> Codec:
    """Make a peer at a setting: an absolute error, or without a bound what ``LossyPeer.setting_at`` gives."""
    lossy = LOSSY_PEERS[name.lower()]
    encode = lossy.encode if bounded else lossy.encode_freely
    return of_chunks(
        lambda chunk: encode(chunk, setting),
        lambda data, shape: lossy.decode(data, shape, "float32"),
    )


def lossless_peer() -> Codec:
    """Make Blosc2 with Zstandard."""
    blosc2 = Blosc2(level=5, shuffle="shuffle")
    return of_chunks(
        blosc2.encode, lambda data, shape: np.frombuffer(blosc2.decode(data), np.float32).reshape(shape)
    )


def psnr_of(codec: Codec, chunks: list[np.ndarray], width: float) -> float:
    """Measure the PSNR of a codec in dB."""
    decoded = codec.decode(codec.encode(chunks, 1), 1)
    return psnr_from_errors(width, (squared_errors(*pair) for pair in zip(chunks, decoded, strict=True)))


def setting_for_psnr(name: str, chunks: list[np.ndarray], width: float) -> float:
    """Find the setting at which a peer reaches the PSNR, by bisection, within 0.1 dB."""
    return find_setting(
        LOSSY_PEERS[name.lower()],
        width,
        lambda setting: psnr_of(peer(name, setting, False), chunks, width),
        PSNR,
        tolerance=0.1,
    )


def measure(codec: Codec, chunks: list[np.ndarray], width: float, threads: int) -> dict[str, float]:
    """Measure a codec on as many cores as threads."""
    megabytes = sum(chunk.nbytes for chunk in chunks) / 1e6
    coded = codec.encode(chunks, threads)
    decoded = codec.decode(coded, threads)
    pairs = list(zip(chunks, decoded, strict=True))
    seconds = {}
    for direction, run in (
        ("encode", lambda: codec.encode(chunks, threads)),
        ("decode", lambda: codec.decode(coded, threads)),
    ):
        times = []
        for _ in range(REPEATS):
            began = time.perf_counter()
            run()
            times.append(time.perf_counter() - began)
        seconds[direction] = min(times)
    return {
        "bits_per_voxel": 8e-6 * codec.n_bytes(coded) / (megabytes / 4),
        "psnr_db": psnr_from_errors(width, (squared_errors(*pair) for pair in pairs)),
        "largest_error": max(largest_error(*pair) for pair in pairs) / width,
        **{f"{direction}_mb_per_second": megabytes / value for direction, value in seconds.items()},
    }


def measure_volume(path: Path, threads: int) -> dict[str, dict[str, dict[str, float]]]:
    """Measure all codecs at both targets; by target and codec."""
    volume = natural_volume(path).astype(np.float32)
    chunks, width = (
        [np.ascontiguousarray(part) for part in cut(volume)],
        float(volume.max()) - float(volume.min()),
    )
    results: dict[str, dict[str, dict[str, float]]] = {"45 dB": {}, "bound 1e-3": {}, "psnr=45": {}}
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        searching = nvc_codec(volume, folder, psnr=PSNR)
        found = searching.encode(chunks, threads)
        # The step is stated in units of the volume and rounded.
        step = min(nvc_jax.info(found)["step"] / width, LARGEST_STEP)
        results["45 dB"]["nvc-1"] = measure(nvc_codec(volume, folder, step=step), chunks, width, threads)
        results["psnr=45"]["nvc-1"] = measure(searching, chunks, width, threads)
        bounded = nvc_codec(volume, folder, relative_error=BOUND)
        results["bound 1e-3"]["nvc-1"] = measure(bounded, chunks, width, threads)
    for name in ("SPERR", "SZ3", "zfp"):
        setting = setting_for_psnr(name, chunks, width)
        results["45 dB"][name] = measure(peer(name, setting, False), chunks, width, threads)
        results["bound 1e-3"][name] = measure(peer(name, BOUND * width, True), chunks, width, threads)
    results["bound 1e-3"]["Blosc2, Zstd (lossless)"] = measure(lossless_peer(), chunks, width, threads)
    return results


def run_apart(path: Path, threads: int) -> dict[str, dict[str, dict[str, float]]]:
    """Measure a volume in a process of its own, on ``threads`` cores."""
    command = [sys.executable, __file__, str(path), "--threads", str(threads)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def plot(summary: dict[str, dict[str, dict[str, float]]]) -> None:
    """Draw bits against speed: one panel for encoding and one for decoding, near 45 dB."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter

    figure = Figure(figsize=(8, 3.6), layout="constrained", dpi=110)
    for axis, direction in zip(figure.subplots(1, 2), ("encode", "decode"), strict=True):
        for name, values in summary["45 dB"].items():
            place = values[f"{direction} 1"], values["bits"]
            axis.plot(*place, "o", label=name, ms=9 if name == "nvc-1" else 6)
            axis.annotate(name, place, (6, 4), textcoords="offset points")
        axis.set(xscale="log", yscale="log", xlabel=f"{direction}, MB/s on one thread")
        axis.set_ylabel("bits per voxel")
        axis.margins(0.15)
        for one in (axis.xaxis, axis.yaxis):
            one.set_major_locator(LogLocator(subs=(1, 2, 5)))
            one.set_major_formatter(ScalarFormatter())
            one.set_minor_formatter(NullFormatter())
        axis.grid(alpha=0.3)
    figure.suptitle("near 45 dB; lower right is better")
    figure.savefig(RESULTS / "peers.png")


def summarize(measured: dict[str, dict[str, Any]]) -> dict[str, dict[str, dict[str, float]]]:
    """Geometric means over volumes, by target and codec."""
    first = next(iter(measured.values()))["1"]
    return {
        target: {
            name: {
                "bits": geometric_mean(of["1"][target][name]["bits_per_voxel"] for of in measured.values()),
                **{
                    f"{direction} {threads}": geometric_mean(
                        of[str(threads)][target][name][f"{direction}_mb_per_second"]
                        for of in measured.values()
                    )
                    for direction in ("encode", "decode")
                    for threads in THREADS
                },
            }
            for name in codecs
        }
        for target, codecs in first.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("volumes", type=Path)
    parser.add_argument("--threads", type=int, help="measure one volume, in this process")
    parser.add_argument("--plot", action="store_true", help="draw the picture of the results that there are")
    options = parser.parse_args()
    if options.plot:
        plot(json.loads((RESULTS / "peers.json").read_text())["summary"])
        return
    if options.threads:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.threads])
        print(json.dumps(measure_volume(options.volumes, options.threads)))
        return
    measured: dict[str, dict[str, Any]] = {}
    for name, row in volumes(options.volumes, "test").items():
        path = options.volumes / row["file"]
        if natural_volume(path).size < LEAST_VOXELS:
            continue
        measured[name] = {str(threads): run_apart(path, threads) for threads in THREADS}
        for target, codecs in measured[name]["1"].items():
            print(name, target, {c: round(v["encode_mb_per_second"]) for c, v in codecs.items()}, flush=True)
    summary = summarize(measured)
    columns = ["bits", *(f"{d} {t}" for d in ("encode", "decode") for t in THREADS)]
    rows = [
        [target, name, *(f"{values[c]:.2f}" if c == "bits" else f"{values[c]:.0f}" for c in columns)]
        for target, codecs in summary.items()
        for name, values in codecs.items()
    ]
    print(table(["target", "codec", *columns], rows))
    plot(summary)
    write_results("peers", {"summary": summary, "volumes": measured, "rows": rows})


if __name__ == "__main__":
    main()
