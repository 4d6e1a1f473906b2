import json
import math
from pathlib import Path

import accelerator
from common import VARIANTS

TIMED = ("copy", "zero-margin", "nvc-1 45 dB batch 1", "transfers", "inside jit")


def test_every_part_runs_and_is_written(tmp_path: Path) -> None:
    chosen = [*TIMED, "same values", "same values of the paper", "profile", "compress bound"]
    accelerator.main(["--quick", "--output", str(tmp_path), "--parts", *chosen])
    written = json.loads((tmp_path / "accelerator.json").read_text())
    assert written["command"].startswith("python benchmarks/")
    assert {"processor", "devices", "versions"} <= written["machine"].keys()
    parts = written["parts"]
    assert {name: part["error"] for name, part in parts.items() if "error" in part} == {}
    assert len(parts) == len(chosen)
    assert parts["copy"]["bytes_per_second"] > 0
    spectral = parts["nvc-1 45 dB batch 1"]
    assert 0 < spectral["bits_per_voxel"] < 32
    for timed in (spectral["encode"], spectral["decode"], parts["transfers"]["from_host"]):
        assert 0 < timed["fastest_seconds"] <= timed["seconds"]
        assert math.isclose(
            timed["of_copy"], timed["bytes_per_second"] / parts["copy"]["bytes_per_second"], rel_tol=1e-6
        )
    for encoded_on in ("device", "cpu"):
        same = parts["same values"][f"encoded on {encoded_on}"]
        assert same["integers_equal"]
        assert same["largest_difference"] < 1e-5
    for variant in VARIANTS:
        differences = parts["same values of the paper's models"][variant]
        assert max(differences.values()) == 0  # of a CPU from itself
    assert parts["compress bound 1e-3"]["second"]["largest_relative_error"] <= 1e-3
    operations = parts["profile"]["encode"]["operations"]
    assert operations
    assert operations[0]["seconds"] >= operations[-1]["seconds"] > 0


def test_no_part_begins_when_time_is_out(tmp_path: Path) -> None:
    accelerator.main(["--quick", "--output", str(tmp_path), "--seconds", "-1"])
    parts = json.loads((tmp_path / "accelerator.json").read_text())["parts"]
    assert len(parts) > 10
    assert all(part == {"left_out": "out of time"} for part in parts.values())


def test_a_part_that_fails_leaves_its_error() -> None:
    def part() -> dict[str, float]:
        raise MemoryError("no room for 64 chunks")

    measured = accelerator.attempt(part)
    assert measured["error"] == "MemoryError: no room for 64 chunks"
    assert measured["part_seconds"] >= 0
