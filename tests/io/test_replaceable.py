import os
from pathlib import Path

import numpy as np
import pytest

from nvc_jax.io.replaceable import check_replaceable, find_foreign, identify, is_array_key
from nvc_jax.io.writers import write_volume

VOLUME = np.arange(24, dtype=np.uint16).reshape(2, 3, 4)


def test_new_paths_and_empty_directories_are_written(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for name in ("new", "empty"):
        check_replaceable(tmp_path / name)
    with pytest.raises(FileNotFoundError, match=r"the directory of .* make it first"):
        check_replaceable(tmp_path / "nothing" / "v.zarr")


def test_files_and_arrays_are_replaced_when_the_user_says_so(tmp_path: Path) -> None:
    (tmp_path / "file.npy").write_text("a volume")
    write_volume(tmp_path / "v.zarr", VOLUME)
    for name in ("file.npy", "v.zarr"):
        with pytest.raises(FileExistsError, match=rf"{name}. is an existing .*`--overwrite`"):
            check_replaceable(tmp_path / name)
        check_replaceable(tmp_path / name, overwrite=True)


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize(
    ("files", "message"),
    [
        (["thesis.txt"], "is no Zarr store .it holds `thesis.txt`"),
        (["zarr.json", "c/0/0/0", "thesis.txt"], "holds `thesis.txt`, which is no part of a Zarr array"),
        (["zarr.json", "c/0/0/notes"], "holds `c/0/0/notes`"),
        (["zarr.json", "density/zarr.json"], "holds `density`"),
        ([".zgroup", "density/.zarray"], "is a Zarr group, which holds `density`.*such as `.*/NAME`"),
        ([".zgroup", "0/.zarray", "0/0.0.0"], "is a Zarr group, which holds `0/.zarray`"),
    ],
)
def test_directories_of_other_things_are_never_replaced(
    files: list[str], message: str, overwrite: bool, tmp_path: Path
) -> None:
    for name in files:
        (tmp_path / "v" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "v" / name).write_text("{}")
    with pytest.raises(FileExistsError, match=message):
        check_replaceable(tmp_path / "v", overwrite)


def test_devices_and_the_root_are_never_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "v.npy")
    (tmp_path / "null.npy").symlink_to("/dev/null")
    for path in (tmp_path / "v.npy", tmp_path / "null.npy", Path("/")):
        with pytest.raises(FileExistsError, match="will not be replaced"):
            check_replaceable(path, overwrite=True)


def test_links_in_an_array_are_foreign(tmp_path: Path) -> None:
    write_volume(tmp_path / "v.zarr", VOLUME)
    assert find_foreign(tmp_path / "v.zarr") is None
    (tmp_path / "v.zarr" / "c" / "7").symlink_to(tmp_path)
    assert find_foreign(tmp_path / "v.zarr") == "c/7"


def test_keys_of_arrays_are_known() -> None:
    assert all(
        map(is_array_key, ["zarr.json", ".zarray", ".zattrs", "c/0/1/2", "0.1.2", "0/1", "c/0.__lock"])
    )
    assert not any(map(is_array_key, ["notes.txt", "c/notes", "0/.zarray", "density/c/0", "c"]))


def test_a_change_is_another_identity(tmp_path: Path) -> None:
    path = tmp_path / "v"
    assert identify(path) is None
    path.write_text("old")
    before = identify(path)
    assert before is not None
    path.unlink()
    path.write_text("new")
    os.utime(path, ns=(0, 7))
    assert identify(path) != before
