import json
import re
from pathlib import Path

import numpy as np
import pytest

import nvc_jax
from nvc_jax.cli import main


def test_a_summary_is_printed(here: Path, capsys: pytest.CaptureFixture) -> None:
    arguments = ["compress", "v.npy", "v.zarr", "--model", "zero-margin", "--chunk", "16,16,16"]
    assert main([*arguments, "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary.keys() >= {"model", "max_error", "stored_bytes", "bits_per_voxel", "ratio", "seconds"}
    assert (summary["container"], summary["source_bytes"]) == ("v.zarr", 20 * 24 * 28)
    assert summary["mb_per_second"] == pytest.approx(20 * 24 * 28 / 1e6 / summary["seconds"])
    assert summary["model"] == "zero-margin"
    assert main(["info", "v.zarr", "--json"]) == 0
    info = json.loads(capsys.readouterr().out)
    assert info["shape"] == [20, 24, 28]
    assert info["chunk"] == [16, 16, 16]
    for name in ("stored_bytes", "bits_per_voxel", "ratio", "max_error"):
        assert info[name] == summary[name]
    assert main(arguments) == 0
    out, err = capsys.readouterr()
    assert "this model keeps no bound on errors" in err
    assert out.startswith(
        f"v.zarr: latents as they are, no bound, largest error {info['max_error']:.4g}; ratio "
    )
    assert " MB/s in " in out
    assert out.count("\n") == 1
    assert main([*arguments, "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")


def test_no_target_is_a_safe_one_and_said(here: Path, capsys: pytest.CaptureFixture) -> None:
    np.save("f.npy", np.load("v.npy") / np.float32(7))
    assert main(["compress", "f.npy", "v.zarr"]) == 0
    out, err = capsys.readouterr()
    assert "no target was given: no voxel changes by more than 0.001 of max − min; say --max-error" in err
    assert re.match(r"v\.zarr: .+ \(bound \S+, 0\.001 of max − min\); ratio ", out)
    assert nvc_jax.info("v.zarr")["target"] == {"relative_error": 0.001}
    assert main(["compress", "f.npy", "v.zarr", "--relative-error", "1e-3"]) == 0
    assert "no target" not in capsys.readouterr().err
    assert main(["compress", "f.npy", "v.zarr", "--json"]) == 0
    printed = capsys.readouterr()
    assert "no target was given" in json.loads(printed.out)["advice"]
    assert printed.err == ""


def test_rates_are_chosen(here: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["compress", "v.npy", "v.zarr", "--psnr", "35"]) == 0
    assert main(["info", "v.zarr", "--json"]) == 0
    info = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert info["model"] == "nvc-1"
    assert info["step"] > 0
    assert "ends" not in info
    assert main(["compress", "v.npy", "v.zarr", "--step", "0.2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["bits_per_voxel"] < info["bits_per_voxel"]
    for model, rate in (("zero-margin", ["--step", "0.5"]), ("more-parameters", ["--psnr", "24"])):
        assert main(["compress", "v.npy", "v.zarr", "--model", model, *rate]) == 0
        assert main(["evaluate", "v.npy", "v.zarr"]) == 0
    assert main(["compress", "v.npy", "v.zarr", "--model", "zero-margin", "--psnr", "80"]) == 1
    assert "dB at best" in capsys.readouterr().err


@pytest.mark.parametrize("other", [["--psnr", "35"], ["--lossless"], ["--max-error", "1"]])
def test_targets_exclude_each_other(other: list[str], capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit):
        main(["compress", "v.npy", "v.zarr", "--step", "0.1", *other])
    assert "not allowed with argument --step" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "target"),
    [
        (["--max-error", "2.5"], {"max_error": 2.5}),
        (["--relative-error", "0.01"], {"relative_error": 0.01}),
        (["--pointwise-error", "0.1"], {"pointwise_error": 0.1}),
        (["--lossless"], {"lossless": True}),
        ([], {"relative_error": 0.001}),
    ],
)
def test_bounds_are_chosen(option: list[str], target: dict, here: Path) -> None:
    assert main(["compress", "v.npy", "v.zarr", *option]) == 0
    assert nvc_jax.info("v.zarr")["target"] == target


def test_missing_values_are_declared(here: Path) -> None:
    volume = np.load("v.npy").astype(np.float32)
    volume[3, 4:6], volume[5, 6:8] = -777, 999
    np.save("m.npy", volume)
    options = ["--missing-value", "-7.77e2", "--missing-value", "999", "--max-error", "3"]
    assert main(["compress", "m.npy", "v.zarr", *options]) == 0
    info = nvc_jax.info("v.zarr")
    assert info["fill_values"] == [-777.0, 999.0]
    assert 0 <= info["minimum"] <= info["maximum"] <= 255
    decoded = nvc_jax.open("v.zarr").read().result()
    is_missing = np.isin(volume, [-777, 999])
    np.testing.assert_array_equal(decoded[is_missing], volume[is_missing])


def test_several_processes_write_parts(here: Path, capsys: pytest.CaptureFixture) -> None:
    arguments = ["compress", "v.npy", "v.zarr", "--step", "0.05", "--chunk", "16,16,16", "--json"]
    arguments += ["--shard", "16,32,32"]
    assert main([*arguments, "--part", "0/2"]) == 0
    assert json.loads(capsys.readouterr().out).items() >= {"part": 0, "parts": 2}.items()
    assert not (here / "v.zarr").exists()
    assert main([*arguments, "--part", "1/2"]) == 0
    assert json.loads(capsys.readouterr().out)["model"] == "nvc-1"
    assert nvc_jax.info("v.zarr")["shard"] == [16, 32, 32]


def test_specs_are_locations(here: Path, capsys: pytest.CaptureFixture) -> None:
    spec = json.dumps({"driver": "file", "path": f"{here}/v.zarr/"})
    assert main(["compress", "v.npy", spec, "--step", "0.05"]) == 0
    assert nvc_jax.info("v.zarr")["model"] == "nvc-1"
    assert main(["compress", "v.npy", '{"driver"', "--step", "0.05"]) == 1
    assert "is no JSON of a TensorStore spec" in capsys.readouterr().err


@pytest.mark.parametrize("others", [["b.npy"], ["b.npy", "c.npy"]])
def test_what_a_pattern_of_the_shell_names_is_kept(
    others: list[str], here: Path, capsys: pytest.CaptureFixture
) -> None:
    for name in others:
        np.save(name, np.arange(8).reshape(2, 2, 2))
    assert main(["compress", "v.npy", *others, "--lossless"]) == 1
    message = capsys.readouterr().err
    assert "IN=v.npy and OUT=b.npy were given" in message
    assert """for f in *.npy; do nvc compress "$f" "${f%.npy}.zarr"; done""" in message
    assert sorted(entry.name for entry in here.iterdir()) == sorted(["v.npy", *others])
    assert np.load("b.npy").shape == (2, 2, 2)


def test_other_files_are_replaced_only_where_the_user_says_so(
    here: Path, capsys: pytest.CaptureFixture
) -> None:
    Path("thesis").write_text("the only copy")
    assert main(["compress", "v.npy", "thesis", "--lossless"]) == 1
    assert "`thesis` is an existing file; name a new path, or pass" in capsys.readouterr().err
    assert Path("thesis").read_text() == "the only copy"
    assert main(["compress", "v.npy", "thesis", "--lossless", "--overwrite"]) == 0
    assert nvc_jax.info("thesis")["target"] == {"lossless": True}


def test_labels_are_said_to_be_lossless(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mask = np.zeros((16, 16, 24), np.uint64)
    mask[4:9, 3:, 7:] = 2**64 - 1
    np.save(tmp_path / "mask.npy", mask)
    arguments = ["compress", str(tmp_path / "mask.npy"), str(tmp_path / "v.zarr"), "--chunk", "16,16,24"]
    assert main([*arguments, "--missing-value", str(2**64 - 1), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["target"] == {"lossless": True}
    assert "these values are labels: every bit comes back" in report["advice"]
    assert nvc_jax.info(tmp_path / "v.zarr")["fill_values"] == [2**64 - 1]
    assert main([*arguments, "--lossless", "--json"]) == 0
    assert "advice" not in json.loads(capsys.readouterr().out)


def test_raw_files_of_any_name_are_compressed(here: Path, capsys: pytest.CaptureFixture) -> None:
    np.load("v.npy").astype(">f4").tofile("density.dat")
    layout = ["--shape", "20,24,28", "--dtype", "float32", "--byte-order", "big"]
    assert main(["compress", "density.dat", "v.zarr", "--lossless", *layout]) == 0
    assert main(["verify", "density.dat", "v.zarr", *layout]) == 0
    assert main(["evaluate", "density.dat", "v.zarr", "--json", *layout]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["max_error"] == 0
    assert main(["compress", "density.dat", "v.zarr", "--shape", "20,24,27", "--dtype", "float32"]) == 1
    assert "holds 53760 bytes; 20·24·27 voxels of float32 are 51840" in capsys.readouterr().err
