"""Everything that the README shows is run, and what it claims is what the benchmarks measured."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from nvc_jax.cli import main
from nvc_jax.cli.demo import SAMPLE
from nvc_jax.io.volumes import read_volume
from nvc_jax.models.checkpoints import shipped_models

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
RESULTS = ROOT / "benchmarks" / "results"
# .ci/run runs these two as they stand, in fresh environments.
INSTALLS = [line for line in README.splitlines() if line.startswith("$ pip install")]


def test_commands_and_code_run_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("volume.npy", read_volume(SAMPLE)[:20, :30, 24:96])
    namespace: dict = {}
    ran = 0
    for language, block in re.findall(r"```(\w*)\n(.*?)```", README, re.DOTALL):
        if language == "python":
            exec(compile(block, "README.md", "exec"), namespace)
            ran += 1
            continue
        for line in block.splitlines():
            assert line.startswith("$ ")
            if line in INSTALLS:
                continue
            program, *arguments = shlex.split(line.removeprefix("$ "))
            assert program == "nvc"
            assert main(arguments) == 0, line
            ran += 1
    assert ran > 8
    assert namespace["decoded"].shape == namespace["volume"].shape
    assert np.load("part.npy").shape == (16, 30, 32)


def test_the_demo_draws_and_measures(tmp_path: Path) -> None:
    """In a process of its own, whose programs are optimised: the picture takes many times as long without."""
    assert INSTALLS[0].endswith("&& nvc demo")
    known = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    # One model of each kind is enough here: .ci/run takes all.
    arguments = ["demo", "--model", "nvc-1", "--model", "zero-margin"]
    out = subprocess.run(
        [sys.executable, "-c", "import sys; from nvc_jax.cli import main; sys.exit(main())", *arguments],
        check=True,
        env=known | {"PYTHONPATH": ":".join(sys.path)},
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout
    assert (tmp_path / "nvc-demo.png").read_bytes().startswith(b"\x89PNG")
    for column in ("ratio", "PSNR dB", "max error", "compress s", "nvc-1", "zero-margin"):
        assert column in out
    assert "two-wide-margin" not in out


def test_ci_runs_the_two_commands() -> None:
    assert len(INSTALLS) == 2
    assert "README.md" in (ROOT / ".ci" / "run").read_text()


def test_pictures_exist() -> None:
    for path in re.findall(r"!\[.*?\]\((.*?)\)", README):
        assert (ROOT / path).is_file()


def test_quoted_quality_is_what_was_measured() -> None:
    means = json.loads((RESULTS / "quality.json").read_text())["mean"]
    for key, mean in means.items():
        variant, split, mode = key.split()
        if split == "test":
            row = next(line for line in README.splitlines() if line.startswith(f"| {variant}, {mode} |"))
            assert f"{mean['mse']:.5f}" in row


def test_quoted_speed_is_what_was_measured() -> None:
    for run in json.loads((RESULTS / "speed.json").read_text())["runs"]:
        size = "×".join(map(str, run["shape"]))
        row = next(line for line in README.splitlines() if line.startswith(f"| {size} | {run['variant']} |"))
        for name in ("encode", "decode_crop", "decode_blend"):
            assert name not in run or f"{run[name]['seconds']:.3f}" in row


def test_quoted_training_rate_is_what_was_measured() -> None:
    run = json.loads((RESULTS / "training.json").read_text())["runs"][0]
    assert f"{run['blocks_per_second']:,.0f} blocks/s" in README
    assert f"{run['paper_minutes']:.1f} minutes" in README


def test_quoted_ratios_are_what_was_measured() -> None:
    measured = json.loads((RESULTS / "rate-distortion.json").read_text())
    for kind, ratios in measured["by_kind"].items():
        cells = [f"{ratios[name]:.2f}" for name in ("SPERR", "SZ3", "zfp", "JPEG 2000", "block DCT")]
        assert f"| {kind} | {' | '.join(cells)} |" in README
    means = measured["by_kind"]["mean over kinds"]
    card = (shipped_models()["nvc-1"] / "CARD.md").read_text().splitlines()
    scores = [line.split("|")[2].strip() for line in card if line.startswith("| mean ratio of ")]
    assert scores == [f"{means[name]:.2f}" for name in ("SPERR", "SZ3", "zfp")]


def test_volumes_on_which_a_rival_is_better_are_named() -> None:
    section = README[README.index("### Bits at equal quality") : README.index("### Bits at equal error")]
    for name, ratios in json.loads((RESULTS / "rate-distortion.json").read_text())["ratio"].items():
        for codec in ("SPERR", "SZ3", "zfp"):
            if ratios[codec] < 1:
                assert f"`{name}` ({ratios[codec]:.2f})" in section


def test_quoted_bounds_are_what_was_measured() -> None:
    for row in json.loads((RESULTS / "bounds.json").read_text())["rows"]:
        assert f"| {' | '.join(row)} |" in README


def test_quoted_pointwise_bounds_are_what_was_measured() -> None:
    measured = json.loads((RESULTS / "pointwise.json").read_text())
    first, second, third = (f"{ratio:.2f}" for ratio in measured["by_kind"]["mean over kinds"].values())
    assert f"takes {first}, {second} and {third} times as many bytes at 0.1, 0.01 and\n0.001" in README
    for name, ratios in measured["ratio"].items():
        for bound, ratio in ratios.items():
            assert ratio >= 1 or f"`{name}` ({ratio:.2f} at {bound}" in README


def large_rows() -> list[list[str]]:
    rows = []
    for run in json.loads((RESULTS / "large.json").read_text())["results"]:
        compress, decompress = run["compress"], run["decompress"]
        share = compress["steady_bytes_per_second"] / run["encode_volume_bytes_per_second"]
        row = [f"{run['gib']:g}", f"{compress['bytes_per_second'] / 1e6:.0f}", f"{share:.2f}"]
        row += [f"{compress['peak_bytes'] / 2**20:.0f}", f"{decompress['bytes_per_second'] / 1e6:.0f}"]
        row += [f"{decompress['peak_bytes'] / 2**20:.0f}"]
        rows.append([*row, f"{run['random_access']['anywhere_median_seconds'] * 1e3:.0f}"])
    return rows


def test_quoted_figures_of_large_volumes_are_what_was_measured() -> None:
    for row in large_rows():
        assert f"| {' | '.join(row)} |" in README
    for psnr, means in json.loads((RESULTS / "seams.json").read_text())["geometric_mean"].items():
        assert f"| {psnr} | {means['jump']:.2f} | {means['error']:.2f} |" in README


def test_quoted_series_are_what_was_measured() -> None:
    for name, means in json.loads((RESULTS / "domain.json").read_text())["geometric_mean_ratio"].items():
        assert f"| {name} | {means['nvc-1']:.2f} | {means['fitted to the series']:.2f} |" in README


def test_quoted_qualities_of_quantised_latents_are_what_was_measured() -> None:
    for row in json.loads((RESULTS / "latents.json").read_text())["rows"]:
        assert f"| {' | '.join(row)} |" in README


def test_quoted_speeds_are_what_was_measured() -> None:
    for target, codecs in json.loads((RESULTS / "peers.json").read_text())["summary"].items():
        for name, values in codecs.items():
            keys = ("encode 1", "encode 2", "decode 1", "decode 2")
            cells = [f"{values['bits']:.2f}", *(f"{values[key]:.0f}" for key in keys)]
            assert f"| {target} | {name} | {' | '.join(cells)} |" in README
        ratios = [codecs["nvc-1"][key] / codecs["SPERR"][key] for key in ("encode 1", "decode 1")]
        assert all(f"{ratio:.2f}" in README for ratio in ratios)


def test_quoted_times_of_sizes_are_what_was_measured() -> None:
    for row in json.loads((RESULTS / "scale.json").read_text())["rows"]:
        assert f"| {' | '.join(row)} |" in README


def test_quoted_answers_to_open_questions_are_what_was_measured() -> None:
    measured = json.loads((RESULTS / "open-questions.json").read_text())
    for question, values in measured["questions"].items():
        row = next(line for line in README.splitlines() if line.startswith(f"| {question} |"))
        cells = [cell.strip() for cell in row.split("|")[2:]]
        for cell, (value, name) in zip(cells, values.items(), strict=False):
            run = measured["runs"][name]
            mode = "blend" if "blended" in question and run["model"]["margin"] else "crop"
            encode, decode = (run["speed"][way]["time_ratio"] for way in ("encode", f"decode_{mode}"))
            assert cell == f"{value}: {run['quality'][mode]['psnr_db']:.1f} dB, {encode:.1f}/{decode:.1f}"
