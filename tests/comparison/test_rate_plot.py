import dataclasses
import math
from pathlib import Path

import pytest
from PIL import Image

from nvc_jax.comparison.compare import ComparedCodec
from nvc_jax.comparison.rate_plot import save_rate_plot

POINT = ComparedCodec({"psnr": 45.0}, "nvc-1", "1", 2.0, 16.0, 45.0, 1.0, 9.0, 9.0, 0.0, 1.0)
ROWS = [
    POINT,
    dataclasses.replace(POINT, bits_per_voxel=4.0, psnr_db=60.0),
    dataclasses.replace(POINT, codec="Blosc2", bits_per_voxel=20.0, psnr_db=math.inf),
]


def test_a_picture_is_written_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "plot.png"
    save_rate_plot(path, ROWS, "a title")
    with Image.open(path) as image:
        assert image.size == (832, 546)
        assert len(image.getcolors(1 << 20)) > 20
    before = path.read_bytes()
    with pytest.raises(FileExistsError, match="is an existing file"):
        save_rate_plot(path, ROWS[:1], "another title")
    assert path.read_bytes() == before
