import json
from pathlib import Path

import pytest

from nvc_jax.cli import main


@pytest.mark.parametrize("arguments", [["fetch"], ["fetch", "--list"]])
def test_datasets_are_listed(arguments: list[str], capsys: pytest.CaptureFixture) -> None:
    assert main(arguments) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["open-scivis:fuel", "64×64×64", "uint8", "1", "262", "kB"] in rows
    assert ["sdrbench:miranda", "256×384×384", "float64", "7", "1.87", "GB"] in rows
    assert main([*arguments, "--json"]) == 0
    datasets = {entry["name"]: entry for entry in json.loads(capsys.readouterr().out)["datasets"]}
    assert datasets["sdrbench:nyx"]["shape"] == [512, 512, 512]


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        ("open-scivis:nucleo", "did you mean nucleon"),
        ("sdrbench:mirandas", "did you mean miranda"),
        ("zenodo:1", "`DATASET` (=zenodo:1): name open-scivis:NAME or sdrbench:NAME"),
    ],
)
def test_other_data_sets_are_named(
    dataset: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert main(["fetch", dataset, "--directory", str(tmp_path)]) == 1
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_what_is_there_is_not_downloaded_again(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    folder = tmp_path / "qmcpack"
    folder.mkdir()
    assert main(["fetch", "sdrbench:qmcpack", "--directory", str(tmp_path), "--json"]) == 1
    failure = json.loads(capsys.readouterr().err)
    assert "einspline_69x69x115x288_float32.raw` in it is not as it was fetched" in failure["error"]


def test_near_names_are_suggested(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["fetch", "nucleo", "--directory", str(tmp_path)]) == 1
    assert "did you mean nucleon" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
