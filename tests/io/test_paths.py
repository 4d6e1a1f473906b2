import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nvc_jax.io.paths import check_url, local_path, output_path, real_path, real_spec
from nvc_jax.io.volumes import open_volume, read_volume
from nvc_jax.io.writers import write_volume

VOLUME = np.arange(24, dtype=np.uint16).reshape(2, 3, 4)


@pytest.mark.parametrize(
    "location",
    [
        Path("/a/b c"),
        "/a/b c",
        "file:///a/b%20c",
        "file://localhost/a/b c",
        {"driver": "file", "path": "/a/b c/"},
        {"kvstore": {"driver": "file", "path": "/a/b c"}},
        {"driver": "zarr3", "kvstore": "file:///a/b%20c/"},
    ],
)
def test_paths_urls_and_specs_of_files_are_local(location: Any) -> None:
    assert local_path(location) == Path("/a/b c")


@pytest.mark.parametrize(
    "location",
    [
        "http://host/a",
        "memory://a/",
        "file:///a/|zarr3:",
        {"driver": "memory"},
        {"driver": "zarr3", "kvstore": {"driver": "memory"}},
        {"driver": "zarr3", "kvstore": "file:///a", "metadata": {}},
        {"driver": "file", "path": "/a", "file_io_sync": False},
    ],
)
def test_other_places_are_not_local(location: Any) -> None:
    assert local_path(location) is None


def test_the_home_directory_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert local_path("~/v.zarr") == local_path(Path("~/v.zarr")) == tmp_path / "v.zarr"
    with pytest.raises(ValueError, match="user who is unknown"):
        local_path("~nobody-of-that-name/v.zarr")


@pytest.mark.parametrize("location", ["", "file://host/a", "file://a"])
def test_places_that_mean_nothing_are_named(location: str) -> None:
    with pytest.raises(ValueError, match=r"empty text|names the host"):
        local_path(location)


def test_files_are_written_to_the_file_system_alone() -> None:
    assert output_path("file:///a/v.npy") == Path("/a/v.npy")
    with pytest.raises(ValueError, match="not in the file system"):
        output_path("s3://bucket/v.npy")


def test_real_paths_follow_links_and_parents(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "far" / "new.zarr")
    (tmp_path / "round").symlink_to(tmp_path / "round")
    assert real_path(tmp_path / "far" / ".." / "link") == tmp_path / "far" / "new.zarr"
    with pytest.raises(OSError, match="leads to itself"):
        real_path(tmp_path / "round")
    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": f"{tmp_path}/far/../a b/"}}
    assert real_spec(spec)["kvstore"]["path"] == f"{tmp_path}/a b/"
    assert real_spec(f"file://{tmp_path}/far/../a%20b/") == f"file://{tmp_path}/a%20b/"
    assert real_spec({"driver": "memory", "path": "a/../b"}) == {"driver": "memory", "path": "a/../b"}


@pytest.mark.parametrize("name", ["v.npy", "v w.zarr"])
def test_sources_and_destinations_are_named_alike(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "sub").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "sub")
    monkeypatch.chdir(tmp_path / "sub")
    quoted = name.replace(" ", "%20")
    places = {
        f"../{name}": tmp_path / name,
        f"~/sub/{name}": tmp_path / "sub" / name,
        f"file://{tmp_path}/sub/../{quoted}": tmp_path / name,
        f"{tmp_path}/link/{name}": tmp_path / "sub" / name,
    }
    for written, path in places.items():
        write_volume(written, VOLUME, overwrite=True)
        assert path.exists()
        np.testing.assert_array_equal(read_volume(written), VOLUME)
    if name.endswith(".zarr"):
        spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": f"{tmp_path}/sub/../{name}/"}}
        assert open_volume(spec).shape == VOLUME.shape
    assert os.readlink(tmp_path / "link") == str(tmp_path / "sub")


def test_links_stay_and_what_they_lead_to_is_written(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    link = tmp_path / "v.npy"
    link.symlink_to(tmp_path / "disk" / "far.npy")
    write_volume(link, VOLUME)
    write_volume(link, VOLUME + 1, overwrite=True)
    assert link.is_symlink()
    np.testing.assert_array_equal(np.load(tmp_path / "disk" / "far.npy"), VOLUME + 1)
    (tmp_path / "w.npy").symlink_to(tmp_path / "unmounted" / "far.npy")
    with pytest.raises(FileNotFoundError, match=r"w\.npy.*leads to .*unmounted.*does not exist"):
        write_volume(tmp_path / "w.npy", VOLUME)


@pytest.mark.parametrize("url", ["http://", "https:///v.zarr", "s3://", "GS:///v.zarr"])
def test_urls_without_a_host_are_refused_at_once(url: str) -> None:
    with pytest.raises(ValueError, match=f"the URL `{url}` names no (host|bucket): add it"):
        check_url(url)


@pytest.mark.parametrize(
    "location", ["http://host/v.zarr", "s3://bucket", "memory://", "file:///v", Path("v")]
)
def test_other_locations_pass(location: object) -> None:
    check_url(location)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no names of any bytes")
def test_zarr_at_a_path_that_is_no_utf8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"temp\xe9rature.zarr")
    refused = pytest.raises(ValueError, match=r"temp.rature\.zarr` is no UTF-8 here, which TensorStore needs")
    with refused:
        write_volume(path, VOLUME)
    assert not any(tmp_path.iterdir())
    write_volume(tmp_path / "v.zarr", VOLUME)
    (tmp_path / "v.zarr").rename(path)
    with refused:
        open_volume(path)
    write_volume(path.with_suffix(".npy"), VOLUME)
    np.testing.assert_array_equal(read_volume(path.with_suffix(".npy")), VOLUME)
