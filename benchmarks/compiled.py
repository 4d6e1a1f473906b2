"""Programs compiled for accelerators that are not there: kernels, loops, copies, estimated time.

Each program is lowered for CUDA, ROCm and TPU and checked (``stablehlo_gate``). Where the compiler is
installed, it is compiled ahead of time for an H100 or a TPU v5e, without a device, and the optimised HLO is
read. Seconds are estimated from bytes, kernels and the compiler's cycles (``hlo_cost``). The steps of loops
that depend on data are counted on the CPU for the volume of the demo at 45 dB (``loop_trips``). Results of
platforms and models that are not asked for are kept, so each compiler may have an environment of its own:

    pip install "jax[cuda13]" && python benchmarks/compiled.py --platforms cuda rocm
    pip install "jax[tpu]" && python benchmarks/compiled.py --platforms tpu --models nvc-1
    python benchmarks/compiled.py --platforms tpu --models zero-margin two-wide-margin more-parameters
    python benchmarks/compiled_figure.py
"""

import os

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
os.environ["TPU_SKIP_MDS_QUERY"] = "1"
os.environ["ALLOW_MULTIPLE_LIBTPU_LOAD"] = "1"  # no device that processes could take from each other

import argparse
import collections
import dataclasses
import importlib.metadata
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from accelerator_volumes import step_for_psnr, turbulence
from common import RESULTS, write_results
from hlo_cost import DEVICES, Cost, named_cost, program_cost
from hlo_loops import find_loops, launches
from hlo_text import Module, parse
from jax.experimental import topologies
from jax.sharding import SingleDeviceSharding
from llo_cost import dump_flags, with_cycles
from loop_trips import count_steps
from programs import PLATFORMS, SPECTRAL, Program, all_models, directions_of, make_program
from stablehlo_gate import find_hazards

import nvc_jax
from nvc_jax.spectral import tile_bitstream, tile_runs

TARGET = Path(__file__).parent / "targets" / "h100.txt"
"""Facts about an H100 by which XLA compiles for it, as its ``GpuTargetConfigProto`` in text."""
PSNR_DB = 45.0
SIDES = {SPECTRAL: 128}
PAPER_SIDE = 256
BATCHES = {"cuda": 64, "tpu": 8, "rocm": 64}
"""Chunks of a batch: 64, or what the memory of a v5e, 16 GB, takes."""
LARGE_SHARE = 8
"""A buffer of an eighth of the volume or more counts as one that grows with it."""
CODER = {"_push_group", "_pop_headers_of_group", "_pop_integers_of_group", "_join_some"}
"""Kernels of GPUs that are the entropy coder. They count as if they moved all of their buffers of words,
which hold any stream."""
COUNTED = ("gather", "scatter", "sort", "while", "conditional")
EXTRAS = {"cuda": "cuda13", "tpu": "tpu"}
COMPILERS = {"cuda": ("jax-cuda13-plugin", "jax-cuda13-pjrt"), "tpu": ("libtpu",), "rocm": ()}


def device_sharding(platform: str, schedules: Path | None) -> SingleDeviceSharding:
    """Get the sharding of arrays on a device of a platform that need not be there.

    Args:
        platform: ``cuda`` or ``tpu``.
        schedules: directory to which the compiler for TPUs writes its schedules, if it is to.

    Raises:
        RuntimeError: the platform's compiler is not installed, or does not start.
    """
    try:
        if platform == "tpu":
            if schedules is not None:
                os.environ["LIBTPU_INIT_ARGS"] = dump_flags(schedules)
            topology = topologies.get_topology_desc(platform="tpu", topology_name="v5e:2x2")
        else:
            settings = {"target_config": TARGET.read_text(), "topology": "1x1x1"}
            topology = topologies.get_topology_desc(platform=platform, **settings)
    except Exception as error:
        extra = f"jax[{EXTRAS[platform]}]"
        raise RuntimeError(f"no compiler for {platform}, which comes with '{extra}': {error}") from error
    return SingleDeviceSharding(topology.devices[0])


def lower(program: Program, platform: str) -> dict[str, Any]:
    """Lower a program and check it: seconds and findings."""
    began = time.perf_counter()
    lowered = program.trace().lower(lowering_platforms=(platform,))
    seconds = time.perf_counter() - began
    hazards = find_hazards(lowered.compiler_ir("stablehlo"), program.volume_bytes // LARGE_SHARE)
    return {"lower_seconds": seconds, "hazards": [str(hazard) for hazard in hazards]}


def compile_ahead(program: Program, sharding: SingleDeviceSharding) -> tuple[Any, dict[str, float]]:
    """Compile a program for a device that is not there: the program, and seconds by clock and processors."""
    arguments = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), program.arguments
    )
    lowered = jax.jit(program.function).lower(*arguments)
    began, busy = time.perf_counter(), time.process_time()
    compiled = lowered.compile()
    seconds = {"compile_seconds": time.perf_counter() - began}
    return compiled, seconds | {"compile_processor_seconds": time.process_time() - busy}


def describe(module: Module, program: Program, platform: str, steps: list[int]) -> dict[str, Any]:
    """Describe an optimised program.

    Args:
        module: its HLO.
        program: what was compiled.
        platform: ``cuda`` or ``tpu``.
        steps: of the loops that depend on data, in order; of no use if there are more or fewer such loops.
    """
    device, large = DEVICES[platform], program.volume_bytes // LARGE_SHARE
    loops = find_loops(module, large)
    dynamic = [loop for loop in loops if loop.trips is None]
    is_known = len(steps) == len(dynamic)
    trips = dict(zip((loop.name for loop in dynamic), steps, strict=True)) if is_known else {}
    costs = program_cost(module, device, trips)
    fixed, coder = costs.pop(""), sum(costs.values(), start=Cost())
    counts = collections.Counter(inner.opcode for inner in module.walk(module.entry))
    floor, seconds = program.volume_bytes / device.bytes_per_second, fixed.seconds + coder.seconds
    return {
        "kernels": sum(1 for _ in launches(module, module.entry)) + sum(loop.kernels for loop in loops),
        "operations": {name: counts[name] for name in COUNTED},
        "custom_calls": dict(collections.Counter(i.target for i in module.walk(module.entry) if i.target)),
        "loops": [dataclasses.asdict(loop) | {"steps": loop.trips or trips.get(loop.name)} for loop in loops],
        "copied_bytes_per_step": sum(loop.copied_bytes for loop in loops),
        "outside": dataclasses.asdict(fixed),
        "of_coder": dataclasses.asdict(named_cost(module, device, CODER)),
        "coder": dataclasses.asdict(coder) if is_known else None,
        "floor_seconds": floor,
        "outside_over_floor": fixed.seconds / floor,
        "estimated_bytes_per_second": program.volume_bytes / seconds if is_known else None,
    }


def measure(
    program: Program, platform: str, sharding: Any, steps: list[int], schedules: Path
) -> dict[str, Any]:
    """Lower, compile and describe one program; what is in ``schedules`` is removed."""
    row: dict[str, Any] = {
        "model": program.model,
        "direction": program.direction,
        "side": program.side,
        "batch": program.batch,
        "volume_bytes": program.volume_bytes,
        **lower(program, platform),
    }
    if sharding is None:
        return row
    try:
        compiled, seconds = compile_ahead(program, sharding)
    except jax.errors.JaxRuntimeError as error:  # a batch that does not fit into the memory
        return row | {"error": str(error).splitlines()[0][:200]}
    memory = compiled.memory_analysis()
    sizes = {"temporary_bytes": memory.temp_size_in_bytes, "output_bytes": memory.output_size_in_bytes}
    module = with_cycles(parse(compiled.as_text()), schedules)
    for path in schedules.iterdir():
        path.unlink()
    return row | seconds | sizes | describe(module, program, platform, steps)


def coder_steps(side: int) -> tuple[dict[str, list[int]], float]:
    """Count the steps of nvc-1's loops for one chunk at the chosen PSNR, by direction; and get its step."""
    codec, volume = nvc_jax.load_codec(SPECTRAL), jnp.asarray(turbulence((side,) * 3))
    step = step_for_psnr(
        lambda step: nvc_jax.decode_volume(codec, nvc_jax.encode_volume(codec, volume, step=step)),
        np.asarray(volume),
        PSNR_DB,
    )
    encode = make_program(SPECTRAL, "encode", side).function
    decode = make_program(SPECTRAL, "decode", side).function
    encoded = nvc_jax.encode_volume(codec, volume, step=step)
    return {
        "encode": count_steps(encode, codec, volume, jnp.float32(step)),
        "decode": count_steps(decode, codec, encoded),
    }, step


def steps_on(platform: str, steps: dict[str, list[int]], direction: str) -> list[int]:
    """Get the steps of a direction's loops on a platform, of those of its form in ``jax.numpy``.

    TPUs code many integers at a step, and have no loops of the trellis.
    """
    of_direction = steps.get(direction, [])
    if platform != "tpu" or not of_direction:
        return of_direction
    if direction == "encode":
        *_, integers, headers = of_direction
        return [-(-integers // tile_bitstream.STEPS), headers]
    headers, integers = of_direction
    return [headers, -(-integers // tile_runs.STEPS)]


def summary(row: dict[str, Any]) -> str:
    """Make the line that is printed while programs are compiled."""
    text = f"{row['model']} {row['direction']} {row['side']}³ batch {row['batch']}"
    text += f": {len(row['hazards'])} hazards"
    if "outside" in row:
        text += (
            f", compiled in {row['compile_seconds']:.0f} s, {row['outside']['kernels']} kernels, "
            f"{row['copied_bytes_per_step'] / 1e6:.0f} MB copied in steps, "
            f"{row['outside_over_floor']:.0f} times the floor"
        )
    return text


def compilers(platform: str) -> dict[str, str]:
    """Versions of a platform's compiler."""
    return {name: importlib.metadata.version(name) for name in ("jax", "jaxlib", *COMPILERS[platform])}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--platforms", nargs="+", default=["rocm"], choices=PLATFORMS)
    parser.add_argument("--models", nargs="+", default=all_models())
    parser.add_argument("--side", type=int, help=f"of all volumes (nvc-1: {SIDES[SPECTRAL]}, {PAPER_SIDE})")
    parser.add_argument("--batch", type=int, help=f"chunks of nvc-1 ({BATCHES})")
    parser.add_argument("--no-steps", action="store_true", help="leave loops uncounted, which takes a minute")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder for compiled.json")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as schedules:
        measure_all(options, Path(schedules))


def measure_all(options: argparse.Namespace, schedules: Path) -> None:
    """Measure what the options ask for, and write it after each platform."""
    path = options.output / "compiled.json"
    old = json.loads(path.read_text()) if path.exists() else {}
    results = old.get("platforms", {})
    counts_steps = SPECTRAL in options.models and not options.no_steps
    steps, step = coder_steps(options.side or SIDES[SPECTRAL]) if counts_steps else ({}, None)
    head = {"psnr_db": PSNR_DB, "step": step, "steps": steps}
    if SPECTRAL not in options.models:
        head = {name: old.get(name, value) for name, value in head.items()}
    # The schedules of the thousand kernels of nvc-1 take many minutes to write. Its own count by bytes.
    own_schedules = None if SPECTRAL in options.models else schedules
    for platform in options.platforms:
        sharding = None if platform == "rocm" else device_sharding(platform, own_schedules)
        kept = results.get(platform, {}).get("programs", [])
        rows = [row for row in kept if row["model"] not in options.models]
        for model in options.models:
            side = options.side or SIDES.get(model, PAPER_SIDE)
            for batch in (0, options.batch or BATCHES[platform]) if model == SPECTRAL else (0,):
                for direction in directions_of(model):
                    program = make_program(model, direction, side, batch)
                    own_steps = steps_on(platform, steps, direction)
                    rows.append(measure(program, platform, sharding, own_steps, schedules))
                    print(platform, summary(rows[-1]), flush=True)
                    jax.clear_caches()
        rows.sort(key=lambda row: all_models().index(row["model"]))
        device = DEVICES[platform].name if platform in DEVICES else None
        results[platform] = {"device": device, "compilers": compilers(platform), "programs": rows}
        write_results("compiled", {**head, "platforms": results}, options.output)


if __name__ == "__main__":
    main()
