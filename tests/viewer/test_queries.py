import numpy as np
import pytest

from nvc_jax.viewer.queries import QueryError, read_slice_query
from nvc_jax.viewer.volumes import open_viewed

VOLUMES = [open_viewed(np.zeros((4, 5, 6), np.float32))] * 2
GOOD = {"volume": "0", "axes": "1,2", "index": "3,0,0", "window": "0,5,2,6", "most": "512"}


def test_a_query_is_read() -> None:
    query = read_slice_query(GOOD, VOLUMES)
    assert (query.volumes, query.level, query.rows, query.columns) == ((0,), "full", 1, 2)
    assert (query.index, query.window, query.most) == ((3, 0, 0), ((0, 5), (2, 6)), 512)
    assert read_slice_query(GOOD | {"volume": "1,0"}, VOLUMES).volumes == (1, 0)


@pytest.mark.parametrize(
    "bad",
    [
        {"volume": "2"},
        {"volume": "0,1,0"},
        {"volume": ""},
        {"volume": "../../etc/passwd"},
        {"level": "preview"},
        {"axes": "1,1"},
        {"axes": "1,3"},
        {"axes": "1"},
        {"index": "4,0,0"},
        {"index": "0,0"},
        {"index": "-1,0,0"},
        {"window": "0,6,2,6"},
        {"window": "3,3,0,1"},
        {"most": "0"},
        {"most": "99999"},
        {"most": "٣"},
        {"most": "1" * 5000},
    ],
)
def test_what_lies_outside_is_named(bad: dict[str, str]) -> None:
    (name,) = bad
    with pytest.raises(QueryError, match=f"`{name}`"):
        read_slice_query(GOOD | bad, VOLUMES)
