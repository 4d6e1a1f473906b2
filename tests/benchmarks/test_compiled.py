import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "compiled.py"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the script in a process of its own: it chooses JAX's platform before JAX is imported."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("XLA_")}
    command = [sys.executable, str(SCRIPT), "--models", "zero-margin", "--side", "16", "--no-steps"]
    return subprocess.run(
        [*command, *arguments], env=environment, capture_output=True, text=True, check=False
    )


def test_programs_are_lowered_and_other_platforms_and_models_are_kept(tmp_path: Path) -> None:
    kept = {"device": "another", "programs": []}
    old = [{"model": model, "direction": "encode", "side": 1} for model in ("nvc-1", "zero-margin")]
    path = tmp_path / "compiled.json"
    path.write_text(json.dumps({"step": 0.5, "platforms": {"tpu": kept, "rocm": {"programs": old}}}))
    finished = run("--platforms", "rocm", "--output", str(tmp_path))
    assert finished.returncode == 0, finished.stderr
    written = json.loads(path.read_text())
    assert written["platforms"]["tpu"] == kept
    assert written["step"] == 0.5  # of nvc-1's loops
    rocm = written["platforms"]["rocm"]
    assert rocm["programs"].pop(0) == old[0]
    assert rocm["compilers"].keys() == {"jax", "jaxlib"}
    assert [(row["model"], row["direction"], row["side"]) for row in rocm["programs"]] == [
        ("zero-margin", "encode", 16),
        ("zero-margin", "decode", 16),
    ]
    assert all(row["hazards"] == [] and row["lower_seconds"] > 0 for row in rocm["programs"])


@pytest.mark.skipif(importlib.util.find_spec("libtpu") is not None, reason="the compiler is installed")
def test_a_missing_compiler_is_named(tmp_path: Path) -> None:
    finished = run("--platforms", "tpu", "--output", str(tmp_path))
    assert finished.returncode != 0
    assert "comes with 'jax[tpu]'" in finished.stderr
