import json
import os
from pathlib import Path
from typing import Any

import pytest

from nvc_jax.container.destinations import holds_container
from nvc_jax.container.images import coarser_levels, find_levels
from nvc_jax.io.locations import open_directory


def group(*paths: Any) -> dict[str, Any]:
    datasets = [{"path": path} for path in paths]
    return {"node_type": "group", "attributes": {"ome": {"multiscales": [{"datasets": datasets}]}}}


@pytest.mark.parametrize(
    ("document", "levels"),
    [
        (group("0", "1"), ["0", "1"]),
        (group("full/0"), ["full/0"]),
        (group("../secret", "1"), []),
        (group("/etc", "1"), []),
        (group(3), []),
        (group() | {"node_type": "array"}, []),
        ({"node_type": "group"}, []),
        ([], []),
    ],
)
def test_levels_lie_below_the_image(document: Any, levels: list[str], tmp_path: Path) -> None:
    (tmp_path / "zarr.json").write_text(json.dumps(document))
    assert find_levels(open_directory(tmp_path)) == levels
    assert coarser_levels(tmp_path) == [tmp_path / level for level in levels[1:]]


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "zarr.json")
    assert find_levels(open_directory(tmp_path)) == []
    assert not holds_container(tmp_path)


def test_what_is_no_image_has_none(tmp_path: Path) -> None:
    assert find_levels(open_directory(tmp_path)) == []
    (tmp_path / "zarr.json").write_text("{")
    assert find_levels(open_directory(tmp_path)) == []
