from pathlib import Path

import pytest
from matplotlib.image import imread

from nvc_jax.evaluation.learning_curve import save_learning_curve

CURVES = {"training": [(1, 0.5), (2, 0.25), (3, 0.1)], "held out": [(3, 0.2)]}


def test_a_curve_is_drawn_and_no_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "curve.png"
    save_learning_curve(path, CURVES, loss_name="loss", title="a run")
    image = imread(path)
    assert image.shape[:2] == (396, 704)
    assert len({tuple(colour) for colour in image.reshape(-1, image.shape[-1])}) > 50
    with pytest.raises(FileExistsError):
        save_learning_curve(path, CURVES)
    save_learning_curve(path, {"training": [(1, 0.5)]}, overwrite=True)
    assert (imread(path) != image).any()
