"""The application over HTTP, without a browser."""

import http.client
import json
import shutil
import struct
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import numpy as np
import pytest

import nvc_jax
from nvc_jax.viewer.server import open_all, serving

QUERY = {"volume": "0", "axes": "1,2", "index": "7,0,0", "window": "0,24,0,28", "most": "512"}


def get(address: str, path: str, host: str | None = None, method: str = "GET") -> tuple[int, bytes]:
    place = urlsplit(address)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=60)
    connection.request(method, path, headers={"Host": host or place.netloc})
    answer = connection.getresponse()
    content = answer.status, answer.read()
    connection.close()
    return content


def get_slice(address: str, **changes: str) -> np.ndarray:
    status, content = get(address, f"/api/slice?{urlencode(QUERY | changes)}")
    assert status == 200, content
    (length,) = struct.unpack("<I", content[:4])
    header = json.loads(content[4 : 4 + length])
    return np.frombuffer(content[4 + length :], header["dtype"]).reshape(header["shape"])


def test_slices_are_those_of_the_container(address: str, folder: Path) -> None:
    decoded = nvc_jax.open(folder / "v.zarr").read().result()
    np.testing.assert_array_equal(get_slice(address), decoded[7])
    np.testing.assert_array_equal(get_slice(address), decoded[7])  # as it is kept
    np.testing.assert_array_equal(get_slice(address, level="preview"), nvc_jax.preview(folder / "v.zarr")[0])
    original = np.load(folder / "v.npy")
    difference = get_slice(address, volume="1,0")
    np.testing.assert_array_equal(difference, original[7].astype(np.float32) - decoded[7])
    assert np.abs(difference).max() <= 2


def test_volumes_contrast_and_values_are_told(address: str, folder: Path) -> None:
    described = json.loads(get(address, "/api/volumes")[1])
    assert [volume["name"] for volume in described] == ["v.zarr", "v.npy"]
    contrast = json.loads(get(address, "/api/contrast?volume=0")[1])
    assert contrast["minimum"] <= contrast["low"] < contrast["high"] <= contrast["maximum"]
    value = json.loads(get(address, "/api/value?volume=1&index=19,23,27")[1])
    assert value == {"value": str(np.load(folder / "v.npy")[-1, -1, -1]), "valid": True}


@pytest.mark.parametrize("host", ["example.org", "127.0.0.1.example.org", "example.org:80", ""])
def test_other_hosts_are_refused(host: str, address: str) -> None:
    for path in ("/", "/api/volumes"):
        assert get(address, path, host or " ")[0] == 400
    assert get(address, "/api/volumes", "localhost:1")[0] == 200


@pytest.mark.parametrize(
    "path",
    [
        "/../server.py",
        "/%2e%2e/server.py",
        "/page/index.html",
        "/index.html",
        "//etc/passwd",
        "/api/",
        "/main.py",
    ],
)
def test_only_the_files_of_the_page_are_served(path: str, address: str) -> None:
    assert get(address, path)[0] == 404
    assert get(address, "/", method="POST")[0] == 405


def test_the_page_needs_nothing_from_elsewhere(address: str) -> None:
    status, page = get(address, "/")
    assert status == 200
    for name in ("style.css", "main.js", "icon.svg"):
        assert f'"{name}"'.encode() in page
        status, content = get(address, f"/{name}")
        assert status == 200
        assert b"http" not in content.replace(b"http://www.w3.org/2000/svg", b"")


def test_a_bad_query_and_a_damaged_chunk_are_told_in_words(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "v.zarr", tmp_path / "v.zarr")
    (tmp_path / "v.zarr" / "c" / "1" / "0" / "1").write_bytes(b"x" * 99)
    with serving(open_all([tmp_path / "v.zarr"])) as address:
        status, content = get(address, f"/api/slice?{urlencode(QUERY | {'index': '99,0,0'})}")
        assert status == 400
        assert "`index`" in json.loads(content)["error"]
        assert get_slice(address).shape == (24, 28)
        status, content = get(address, f"/api/slice?{urlencode(QUERY | {'index': '17,0,0'})}")
        assert status == 500
        assert "chunk (1, 0, 1)" in json.loads(content)["error"]
