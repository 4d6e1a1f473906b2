"""Time and memory against the size of a volume, the size of chunks and the number of cores.

Cubes of simulated turbulence, float32, 64 to 1024 voxels a side, as Zarr arrays on disk, are compressed and
decompressed, each in a process of its own that keeps no programs of others. One property is varied at a time.
Seconds are those of the call, without the start of Python and JAX; the rate is that after the first chunk, so
without compiling; the peak is that of the process.

    python benchmarks/scale.py                  # needs three times the largest size on disk: 12 GiB
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

from common import table, write_results
from large import in_a_process, make_source

SIDES = (64, 128, 256, 512, 1024)
CHUNKS = (32, 64, 128, 256)
CORES = (1, 2)
TARGETS: dict[str, dict[str, float]] = {"step 0.02": {"step": 0.02}, "bound 1e-3": {"relative_error": 1e-3}}
SIDE = 256
"""Side of the volume with which chunks and cores are varied."""


def measure(source: Path, side: int, target: str, **settings: Any) -> dict[str, Any]:
    """Compress and decompress one volume: seconds, bytes a second and peak memory."""
    n_bytes = 4 * side**3
    run: dict[str, Any] = {"side": side, "target": target, **settings}
    cores = {"cores": settings["cores"]} if "cores" in settings else {}
    with tempfile.TemporaryDirectory(dir=source.parent) as directory:
        store, copy = Path(directory) / "store.zarr", Path(directory) / "copy.zarr"
        run["compress"] = in_a_process("compress", source, store, **TARGETS[target], **settings)
        run["decompress"] = in_a_process("decompress", store, copy, **cores)
    for verb in ("compress", "decompress"):
        run[verb]["bytes_per_second"] = n_bytes / run[verb]["seconds"]
    print(row(run), flush=True)
    return run


def row(run: dict[str, Any]) -> list[str]:
    """Make a row of the table."""
    varied = ", ".join(f"{key} {run[key]}" for key in ("chunks", "cores") if key in run)
    cells = [f"{run['side']}³", run["target"], varied]
    for verb in ("compress", "decompress"):
        steady = run[verb]["steady_bytes_per_second"]
        cells += [
            f"{run[verb]['seconds']:.1f}",
            f"{steady / 1e6:.0f}" if steady else "",
            f"{run[verb]['peak_bytes'] / 2**20:.0f}",
        ]
    return cells


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sides", type=int, nargs="+", default=SIDES)
    parser.add_argument("--directory", type=Path, help="where to put the volumes (a temporary directory)")
    options = parser.parse_args()
    runs = []
    with tempfile.TemporaryDirectory(dir=options.directory) as directory:
        for side in options.sides:
            source = Path(directory) / f"{side}.zarr"
            make_source(source, (side,) * 3)
            runs += [measure(source, side, target) for target in TARGETS]
            if side == SIDE:
                runs += [measure(source, side, "step 0.02", chunks=[chunk] * 3) for chunk in CHUNKS]
                runs += [measure(source, side, target, cores=n) for target in TARGETS for n in CORES]
    head = ["size", "target", "varied"]
    head += [f"{verb} {what}" for verb in ("compress", "decompress") for what in ("s", "MB/s", "MiB")]
    rows = [row(run) for run in runs]
    print(table(head, rows))
    write_results("scale", {"data": "simulated turbulence, tiled", "runs": runs, "rows": rows})


if __name__ == "__main__":
    main()
