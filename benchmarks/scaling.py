"""Weak and strong scaling of training, encoding and decoding over devices and over processes.

Strong: the same work, shared by more. Weak: as much work for each. Devices are emulated ones of a single
process (1 to 8), processes are real (1 to 4, connected by JAX for training). All share the cores of one
machine, so that no speed-up beyond these can be seen: what is measured is the cost of sharing. The ideal is
the speed of one, times what the cores allow.

    python benchmarks/scaling.py
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from common import table, write_results
from large import make_source

WORK = Path(__file__).with_name("scaling_work.py")
DEVICES, PROCESSES = (1, 2, 4, 8), (1, 2, 4)
BATCH, BATCH_OF_EACH = 512, 128
CHUNKS, CHUNKS_OF_EACH = 8, 2
SIDE, SHARD = 256, 128
"""Sides of the stored volume, and of its shards."""


def run_processes(kind: str, settings: list[dict[str, Any]], n_devices: int = 1) -> list[dict[str, Any]]:
    """Start a process for each settings, let all work at once, and collect what they report."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        address = f"localhost:{probe.getsockname()[1]}"
    processes = []
    for rank, own in enumerate(settings):
        environment = {
            **os.environ,
            "XLA_FLAGS": f"--xla_force_host_platform_device_count={n_devices}",
            "JAX_COORDINATOR_ADDRESS": address,
            "PMI_RANK": str(rank),
            "PMI_SIZE": str(len(settings)),
        }
        if kind != "train" or len(settings) == 1:
            del environment["JAX_COORDINATOR_ADDRESS"]
        command = [sys.executable, str(WORK), kind, json.dumps(own)]
        processes.append(
            subprocess.Popen(
                command,
                env=environment,
                text=True,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        )
    for process in processes:
        assert process.stdout is not None
        if process.stdout.readline() != "ready\n":
            raise RuntimeError(f"{kind} {settings} failed before it was ready")
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("start\n")
        process.stdin.flush()
    outputs = [process.communicate()[0] for process in processes]
    if any(process.returncode for process in processes):
        raise RuntimeError(f"{kind} {settings} failed")
    return [json.loads(output.splitlines()[-1]) for output in outputs]


def over_devices() -> list[dict[str, Any]]:
    """Measure one process with emulated devices: items per second."""
    rows = []
    for n in DEVICES:
        for scaling, batch, chunks in (
            ("strong", BATCH, CHUNKS),
            ("weak", n * BATCH_OF_EACH, n * CHUNKS_OF_EACH),
        ):
            work: dict[str, tuple[str, dict[str, Any]]] = {
                "training": ("train", {"batch_size": batch}),
                "encoding": ("code", {"direction": "encode", "n_chunks": chunks}),
                "decoding": ("code", {"direction": "decode", "n_chunks": chunks}),
            }
            for name, (kind, settings) in work.items():
                [measured] = run_processes(kind, [settings], n)
                rows.append({"work": name, "scaling": scaling, "devices": n, **measured})
                print(rows[-1], flush=True)
    return rows


def over_processes(directory: Path) -> list[dict[str, Any]]:
    """Measure several processes of one device each: items per second, of all of them together."""
    rows = []
    for scaling in ("strong", "weak"):
        for n in PROCESSES:
            batch = BATCH if scaling == "strong" else n * BATCH_OF_EACH
            measured = run_processes("train", [{"batch_size": batch}] * n)[0]
            rows.append({"work": "training", "scaling": scaling, "processes": n, **measured})
            print(rows[-1], flush=True)
    for scaling in ("strong", "weak"):
        for n in PROCESSES:
            shape = (SIDE * (n if scaling == "weak" else 1), SIDE, SIDE)
            source, target = directory / f"{shape[0]}.zarr", directory / f"{scaling}-{n}.zarr"
            if not source.exists():
                make_source(source, shape)
            for name, direction in (("encoding", "encode"), ("decoding", "decode")):
                shared = {"direction": direction, "source": str(source), "target": str(target)}
                settings = [{**shared, "part": part, "n_parts": n, "shard": SHARD} for part in range(n)]
                seconds = max(result["seconds"] for result in run_processes("store", settings))
                n_chunks = shape[0] * SIDE * SIDE / SHARD**3
                row = {"work": name, "scaling": scaling, "processes": n, "seconds": seconds}
                rows.append({**row, "items_per_second": n_chunks / seconds})
                print(rows[-1], flush=True)
    return rows


def relative(rows: list[dict[str, Any]], count: str) -> list[dict[str, Any]]:
    """Add to each row its speed over that of one device or process at the same kind of work and scaling."""
    first = {(row["work"], row["scaling"]): row["items_per_second"] for row in rows if row[count] == 1}
    return [
        {**row, "relative_speed": row["items_per_second"] / first[row["work"], row["scaling"]]}
        for row in rows
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--directory", type=Path, help="where to put the volumes (a temporary directory)")
    options = parser.parse_args()
    devices = relative(over_devices(), "devices")
    with tempfile.TemporaryDirectory(dir=options.directory) as directory:
        processes = relative(over_processes(Path(directory)), "processes")
    for count, rows in (("devices", devices), ("processes", processes)):
        shown = [
            [row["work"], row["scaling"], str(row[count]), f"{row['relative_speed']:.2f}"] for row in rows
        ]
        print(table(["work", "scaling", count, "speed over one"], shown))
    write_results("scaling", {"devices": devices, "processes": processes})


if __name__ == "__main__":
    main()
