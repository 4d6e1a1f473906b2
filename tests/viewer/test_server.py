import socket
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest

from nvc_jax.viewer.server import open_all, serving


def test_it_listens_on_the_loopback_interface_until_the_block_ends(folder: Path) -> None:
    with serving(open_all([folder / "v.npy"])) as address:
        place = urlsplit(address)
        assert place.hostname == "127.0.0.1"
        with urllib.request.urlopen(address) as page:
            assert b"<title>" in page.read()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((place.hostname, place.port or 0)).close()


def test_a_port_that_is_taken_is_named(folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with (
            pytest.raises(OSError, match=rf"`port` \(={port}\) cannot be listened at"),
            serving(open_all([folder / "v.npy"]), port),
        ):
            pass


def test_volumes_side_by_side_have_one_shape(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"\(20, 24, 28\) and .* \(4, 4, 4\)"):
        open_all([folder / "v.zarr", np.zeros((4, 4, 4), np.uint8)])
