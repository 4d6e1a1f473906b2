"""Speed on one accelerator, by one command of a few minutes; each part is written as soon as it is measured.

The most telling parts come first: how fast the device copies memory; nvc-1 on 128³ voxels at 45 dB; the
paper's models on 256³; whether device and CPU decode each other's streams alike; batches of chunks, and the
step for a relative bound of 1e-3; the operations that take longest; the other sizes of the paper's Table 2;
transfers; decoding inside a user's compiled function; ``compress`` under the bound. A part that fails leaves
its error. No part begins after ``--seconds``.

Volumes and streams lie in the device's memory, unless a name says ``from_host`` or ``to_host``. Bytes per
second count the volume. ``of_copy`` is their share of the speed of a copy, of which bytes read and written
count.

    benchmarks/accelerator.sh                          # finds or makes an environment, then runs this
    python benchmarks/accelerator.py --quick           # small sizes, on whatever is there

The dependencies of nvc_jax must be installed. The package itself may be a source tree on PYTHONPATH; without
its compiled kernels the CPU's part takes longer.
"""

import argparse
import functools
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypedDict

import jax
import jax.numpy as jnp
import numpy as np
from accelerator_profile import top_operations
from accelerator_volumes import psnr, step_for_psnr, turbulence
from common import RESULTS, VARIANTS, write_results

import nvc_jax
from nvc_jax.autoencoder.encoded import EncodedLatents
from nvc_jax.core.encoded_volume import EncodedVolume
from nvc_jax.core.shapes import Shape3
from nvc_jax.native.library import load_kernels
from nvc_jax.spectral import decoder

SIZES = ((256, 256, 256), (512, 512, 512), (192, 180, 168), (512, 512, 32), (280, 512, 174), (832, 832, 494))
"""The paper's Table 2, those with targets first."""
BATCHES = (1, 64, 8)
PSNR_DB, BOUND = 45.0, 1e-3
STEPS_PER_BOUND = 2.0
"""Such a step keeps most voxels within the bound; ``compress`` corrects the others."""


class Settings(TypedDict):
    """Sizes of what is measured.

    Attributes:
        side: of the chunks of nvc-1.
        sizes: of the volumes of the paper's models.
        batches: numbers of chunks that nvc-1 codes at once.
        copy_bytes: of what is copied.
    """

    side: int
    sizes: tuple[Shape3, ...]
    batches: tuple[int, ...]
    copy_bytes: int


QUICK: Settings = {"side": 16, "sizes": ((24, 16, 40),), "batches": (1, 2), "copy_bytes": 1 << 20}
FULL: Settings = {"side": 128, "sizes": SIZES, "batches": BATCHES, "copy_bytes": 1 << 30}
SECONDS_PER_RUN, MAX_REPEATS = 0.5, 20


class Bench:
    """Settings that parts share, and the speed of a copy once it is known.

    Args:
        quick: whether sizes are small.
    """

    def __init__(self, quick: bool) -> None:
        self.settings = QUICK if quick else FULL
        self.copy_bytes_per_second = float("nan")

    @functools.cached_property
    def codec(self) -> nvc_jax.Codec:
        """nvc-1, in the device's memory."""
        return jax.device_put(nvc_jax.load_codec("nvc-1"))

    @functools.cached_property
    def steps(self) -> dict[str, float]:
        """Steps of nvc-1 by target."""
        chunk = turbulence((self.settings["side"],) * 3)
        encode, decode = _programs(1)
        near = step_for_psnr(
            lambda step: decode(self.codec, encode(self.codec, chunk, jnp.float32(step))), chunk, PSNR_DB
        )
        return {"45 dB": near, "bound 1e-3": STEPS_PER_BOUND * BOUND * float(np.ptp(chunk))}

    def timed(self, run: Callable[[], Any], n_bytes: int) -> dict[str, float]:
        """Median time of a call, and the bytes per second that it means; the first call compiles."""
        began = time.perf_counter()
        jax.block_until_ready(run())
        first = time.perf_counter() - began
        times: list[float] = []
        while len(times) < MAX_REPEATS and (len(times) < 2 or sum(times) < SECONDS_PER_RUN):
            began = time.perf_counter()
            jax.block_until_ready(run())
            times.append(time.perf_counter() - began)
        speed = n_bytes / statistics.median(times)
        return {
            "seconds": statistics.median(times),
            "fastest_seconds": min(times),
            "first_seconds": first,
            "repeats": len(times),
            "bytes_per_second": speed,
            "of_copy": speed / self.copy_bytes_per_second,
        }


def copy_speed(bench: Bench) -> dict[str, Any]:
    """Measure a copy within the device's memory; bytes read and bytes written both count."""
    source = jnp.zeros(bench.settings["copy_bytes"] // 4, jnp.float32)
    copy = jax.jit(lambda values: values + 1)
    measured = bench.timed(lambda: copy(source), 2 * source.nbytes)
    measured.pop("of_copy")
    bench.copy_bytes_per_second = measured["bytes_per_second"]
    return measured


def same_values(bench: Bench) -> dict[str, Any]:
    """Compare what this device and the CPU decode from each other's streams: integers, then voxels."""
    has_kernels, cpu = load_kernels() is None, jax.devices("cpu")[0]
    side = min(64 if has_kernels else 32, bench.settings["side"])
    volume = turbulence((side,) * 3)
    places = {"device": jax.devices()[0], "cpu": cpu}
    codecs = {name: jax.device_put(bench.codec, place) for name, place in places.items()}
    measured: dict[str, Any] = {"side": side, "kernels_on_cpu": has_kernels}
    for encoded_on, place in places.items():
        with jax.default_device(place):
            encoded = nvc_jax.encode_volume(codecs[encoded_on], jax.device_put(volume, place), step=0.02)
        symbols, decoded = {}, {}
        for name, other in places.items():
            moved = jax.device_put(encoded, other)
            with jax.default_device(other):
                symbols[name] = jax.tree.map(np.asarray, decoder.decode_symbols(codecs[name].params, moved))
                decoded[name] = np.asarray(nvc_jax.decode_volume(codecs[name], moved))
        equal = jax.tree.map(np.array_equal, symbols["device"], symbols["cpu"])
        measured[f"encoded on {encoded_on}"] = {
            "integers_equal": all(jax.tree.leaves(equal)),
            "largest_difference": float(np.abs(decoded["device"] - decoded["cpu"]).max()),
            "psnr_db": psnr(volume, decoded["device"]),
        }
    return measured


def same_values_of_paper(bench: Bench) -> dict[str, Any]:
    """Compare latents and voxels of the paper's models with the CPU's: largest differences.

    Those of latents are relative to the largest one, those of voxels to the range.
    """
    volume, places = turbulence((bench.settings["side"],) * 3), (jax.devices()[0], jax.devices("cpu")[0])
    width, measured = float(np.ptp(volume)), {}
    for variant in VARIANTS:
        codecs = [jax.device_put(nvc_jax.load_codec(variant), place) for place in places]
        encoded = [
            nvc_jax.encode_volume(codec, jax.device_put(volume, place))
            for codec, place in zip(codecs, places, strict=True)
        ]
        own, exact = (_latents(of) for of in encoded)
        measured[variant] = {"latents": float(np.abs(own - exact).max() / np.abs(exact).max())}
        for mode in ("crop", "blend") if codecs[0].config.margin else ("crop",):
            decoded = [
                np.asarray(nvc_jax.decode_volume(codec, jax.device_put(encoded[1], place), mode=mode))
                for codec, place in zip(codecs, places, strict=True)
            ]
            measured[variant][mode] = float(np.abs(decoded[0] - decoded[1]).max() / width)
    return measured


def _latents(encoded: EncodedVolume) -> np.ndarray:
    """Get the latents that a model of the paper encodes a volume to without a step."""
    assert isinstance(encoded, EncodedLatents)
    return np.asarray(encoded.latents)


def spectral(bench: Bench, batch: int, target: str) -> dict[str, Any]:
    """Encode and decode a batch of chunks by nvc-1."""
    side, step = bench.settings["side"], bench.steps[target]
    volumes = jnp.stack([turbulence((side,) * 3, seed) for seed in range(batch)])
    encode, decode = _programs(batch)
    volumes = volumes if batch > 1 else volumes[0]
    encoded = jax.block_until_ready(encode(bench.codec, volumes, jnp.float32(step)))
    used = float(np.sum(encoded.stream.group_words)) * 2
    return {
        "step": step,
        "bits_per_voxel": 8 * used / volumes.size,
        "encode": bench.timed(lambda: encode(bench.codec, volumes, jnp.float32(step)), volumes.nbytes),
        "decode": bench.timed(lambda: decode(bench.codec, encoded), volumes.nbytes),
    }


@functools.cache
def _programs(batch: int) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Programs of nvc-1 for one chunk or a batch; the same for all steps."""

    def encode(codec: nvc_jax.Codec, volume: jax.Array, step: jax.Array) -> Any:
        return nvc_jax.encode_volume(codec, volume, step=step)

    def decode(codec: nvc_jax.Codec, encoded: Any) -> jax.Array:
        return nvc_jax.decode_volume(codec, encoded)

    if batch > 1:
        encode, decode = jax.vmap(encode, in_axes=(None, 0, None)), jax.vmap(decode, in_axes=(None, 0))
    return jax.jit(encode), jax.jit(decode)


def table_2(bench: Bench, variant: str, shape: tuple[int, int, int]) -> dict[str, Any]:
    """Encode and decode a uint8 and a float32 volume by a model of the paper."""
    codec = jax.device_put(nvc_jax.load_codec(variant))
    measured = {}
    for dtype in ("uint8", "float32") if shape in (SIZES[0], *QUICK["sizes"]) else ("uint8",):
        values = turbulence(shape)
        volume = jax.device_put(np.round(values * 255).astype(np.uint8) if dtype == "uint8" else values)
        encode = jax.jit(lambda codec, volume: nvc_jax.encode_volume(codec, volume))
        encoded = jax.block_until_ready(encode(codec, volume))
        runs: dict[str, Callable[[], Any]] = {"encode": functools.partial(encode, codec, volume)}
        for mode in ("crop", "blend") if codec.config.margin else ("crop",):
            decode = jax.jit(functools.partial(nvc_jax.decode_volume, mode=mode))
            runs[f"decode {mode}"] = functools.partial(decode, codec, encoded)
        measured[dtype] = {name: bench.timed(run, volume.nbytes) for name, run in runs.items()}
    return measured


def transfers(bench: Bench) -> dict[str, Any]:
    """Move a volume to the device and back, alone, and together with encoding and decoding it."""
    side, step = bench.settings["side"], jnp.float32(bench.steps["45 dB"])
    on_host = turbulence((side,) * 3)
    on_device = jax.device_put(on_host)
    encode, decode = _programs(1)
    encoded = encode(bench.codec, on_device, step)

    def to_host() -> np.ndarray:
        return np.array(on_device + 0)  # a new array: JAX keeps the host's copy of one that was moved

    return {
        "from_host": bench.timed(lambda: jax.device_put(on_host), on_host.nbytes),
        "to_host": bench.timed(to_host, on_host.nbytes),
        "encode from_host": bench.timed(
            lambda: encode(bench.codec, jax.device_put(on_host), step), on_host.nbytes
        ),
        "decode to_host": bench.timed(lambda: np.asarray(decode(bench.codec, encoded)), on_host.nbytes),
    }


def inside_jit(bench: Bench) -> dict[str, Any]:
    """Decode inside a user's compiled function, which reduces the volume, and in two calls."""
    side, step = bench.settings["side"], jnp.float32(bench.steps["45 dB"])
    encode, decode = _programs(1)
    volume = jax.device_put(turbulence((side,) * 3))
    encoded = jax.block_until_ready(encode(bench.codec, volume, step))
    reduce = jax.jit(lambda values: jnp.stack([values.mean(), jnp.abs(jnp.diff(values, axis=0)).max()]))
    together = jax.jit(lambda codec, encoded: reduce(nvc_jax.decode_volume(codec, encoded)))
    return {
        "together": bench.timed(lambda: together(bench.codec, encoded), volume.nbytes),
        "in two calls": bench.timed(lambda: reduce(decode(bench.codec, encoded)), volume.nbytes),
    }


def profile(bench: Bench) -> dict[str, Any]:
    """Find the operations of nvc-1 that take longest, for the largest batch."""
    batch, side = max(bench.settings["batches"]), bench.settings["side"]
    step = jnp.float32(bench.steps["45 dB"])
    volumes = jnp.stack([turbulence((side,) * 3, seed) for seed in range(batch)])
    encode, decode = _programs(batch)
    encoded = jax.block_until_ready(encode(bench.codec, volumes, step))
    jax.block_until_ready(decode(bench.codec, encoded))
    return {
        "encode": top_operations(lambda: encode(bench.codec, volumes, step)),
        "decode": top_operations(lambda: decode(bench.codec, encoded)),
    }


def whole_compression(bench: Bench) -> dict[str, Any]:
    """Compress a volume of several chunks to a container under a relative bound, and read it all."""
    side = bench.settings["side"]
    volume = turbulence((2 * side,) * 3)
    measured = {}
    with tempfile.TemporaryDirectory() as directory:
        for run in ("first", "second"):
            place = Path(directory) / f"{run}.zarr"
            began = time.perf_counter()
            nvc_jax.compress(volume, place, relative_error=BOUND, chunks=(side,) * 3)
            compressed = time.perf_counter()
            decoded = np.asarray(nvc_jax.open(place)[...])
            measured[run] = {
                "compress_bytes_per_second": volume.nbytes / (compressed - began),
                "read_bytes_per_second": volume.nbytes / (time.perf_counter() - compressed),
                "largest_relative_error": float(np.abs(decoded - volume).max() / np.ptp(volume)),
            }
    return measured


def parts(bench: Bench) -> dict[str, Callable[[], Any]]:
    """List the parts, those that tell most first."""
    (first, *others), (whole, *sizes) = bench.settings["batches"], bench.settings["sizes"]
    listed: dict[str, Callable[[], Any]] = {
        "copy": lambda: copy_speed(bench),
        f"nvc-1 45 dB batch {first}": lambda: spectral(bench, first, "45 dB"),
    }
    for variant in VARIANTS:
        listed[f"{variant} {_named(whole)}"] = functools.partial(table_2, bench, variant, whole)
    listed["same values"] = lambda: same_values(bench)
    listed["same values of the paper's models"] = lambda: same_values_of_paper(bench)
    for batch in others:
        listed[f"nvc-1 45 dB batch {batch}"] = functools.partial(spectral, bench, batch, "45 dB")
    for batch in (first, *others):
        listed[f"nvc-1 bound 1e-3 batch {batch}"] = functools.partial(spectral, bench, batch, "bound 1e-3")
    listed["profile"] = lambda: profile(bench)
    for shape in sizes:
        for variant in VARIANTS:
            listed[f"{variant} {_named(shape)}"] = functools.partial(table_2, bench, variant, shape)
    listed["transfers"] = lambda: transfers(bench)
    listed["inside jit"] = lambda: inside_jit(bench)
    listed["compress bound 1e-3"] = lambda: whole_compression(bench)
    return listed


def _named(shape: tuple[int, int, int]) -> str:
    return "×".join(map(str, shape))


def card() -> dict[str, Any]:
    """Name, driver and limits of the graphics card, as its driver states them; empty without one."""
    if not (program := shutil.which("nvidia-smi")):
        return {}
    fields = ("name", "driver_version", "memory.total", "clocks.max.sm", "clocks.max.mem", "power.limit")
    command = [program, f"--query-gpu={','.join(fields)}", "--format=csv,noheader"]
    stated = subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
    return dict(zip(fields, (field.strip() for field in stated[0].split(",")), strict=True)) if stated else {}


def attempt(part: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Measure a part, or state its error: the other parts are still worth their time."""
    began = time.perf_counter()
    try:
        measured = part()
    except Exception as error:
        measured = {"error": f"{type(error).__name__}: {str(error)[:500]}"}
    return measured | {"part_seconds": time.perf_counter() - began}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small sizes")
    parser.add_argument("--seconds", type=float, default=240, help="after which no part begins (240)")
    parser.add_argument("--parts", nargs="+", metavar="NAME", help="beginnings of names (all parts)")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder for accelerator.json")
    options = parser.parse_args(arguments)
    bench, began, measured = Bench(options.quick), time.perf_counter(), {}
    head = {"quick": options.quick, "platform": jax.default_backend(), "card": card()}
    for name, part in parts(bench).items():
        if options.parts and not name.startswith(tuple(options.parts)):
            continue
        is_late = time.perf_counter() - began > options.seconds
        measured[name] = {"left_out": "out of time"} if is_late else attempt(part)
        print(f"{time.perf_counter() - began:.0f} s {name}: {measured[name]}", flush=True)
        write_results("accelerator", {**head, "parts": measured}, options.output)


if __name__ == "__main__":
    main()
