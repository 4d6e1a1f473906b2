import argparse
from pathlib import Path

import numpy as np
import pytest

from nvc_jax.cli import main
from nvc_jax.cli.parts import AUTO, choose_part, describe_part, read_part

TASK = {"SLURM_STEP_ID": "0", "SLURM_PROCID": "2", "SLURM_STEP_NUM_TASKS": "4"}


@pytest.mark.parametrize(("text", "expected"), [("0/2", (0, 2)), ("11/12", (11, 12)), ("auto", AUTO)])
def test_parts_are_read(text: str, expected: tuple[int, int] | str) -> None:
    assert read_part(text) == expected


@pytest.mark.parametrize("text", ["2/2", "1", "-1/2", "a/b", "1/2/3", "", "Auto"])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=r"must be I/N, .*; or auto, under srun or mpirun"):
        read_part(text)


def test_the_launcher_tells_the_part() -> None:
    assert choose_part(AUTO, TASK) == (2, 4)
    assert choose_part((1, 2), TASK) == (1, 2)
    assert choose_part((0, 1), TASK) == (0, 1)
    assert choose_part(None, {}) is None
    assert choose_part(None, TASK | {"SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "1"}) is None
    with pytest.raises(ValueError, match=r"none of them has started this process: give .* `--part I/N`"):
        choose_part(AUTO, {})


def test_parts_of_several_are_named() -> None:
    assert describe_part((1, 3)) == ["part 1 of 3"]
    assert describe_part((0, 1)) == describe_part(None) == []


def test_a_task_of_several_must_be_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "v.npy", np.zeros((8, 8, 8), np.float32))
    for name, value in TASK.items():
        monkeypatch.setenv(name, value)
    arguments = ["compress", str(tmp_path / "v.npy"), str(tmp_path / "v.zarr"), "--lossless"]
    assert main(arguments) == 1
    assert "Slurm has started this as task 2 of 4: say `--part auto` for tasks" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["v.npy"]
    assert main([*arguments, "--part", "0/1"]) == 0
    assert main([*arguments, "--part", "0/1", "--dry-run"]) == 1
    assert main([*arguments, "--dry-run"]) == 0


def test_a_part_of_one_may_be_an_image_with_levels(tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", np.zeros((8, 8, 8), np.float32))
    arguments = ["compress", str(tmp_path / "v.npy"), str(tmp_path / "v.ome.zarr"), "--lossless", "--pyramid"]
    assert main([*arguments, "--part", "0/2"]) == 1
    assert main([*arguments, "--part", "0/1"]) == 0
