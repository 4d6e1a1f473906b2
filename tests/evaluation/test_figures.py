from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from nvc_jax.evaluation.figures import COLOUR_BAR_WIDTH, DOTS_PER_INCH, FRAME_SIZE, PANEL_SIZE, save_panels


def test_panels_are_a_png(tmp_path: Path) -> None:
    picture = np.zeros((5, 6))
    rows = {"a": {"x": picture, "y": np.zeros((4, 4, 3))}, "error": {"x": picture}}
    save_panels(tmp_path / "p.png", rows, error_rows={"error": 1.0}, title="t")
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")


def test_files_are_replaced_only_where_the_user_says_so(tmp_path: Path) -> None:
    path, rows = tmp_path / "photo", {"a": {"x": np.eye(4)}}
    path.write_text("a picture of the user's")
    with pytest.raises(FileExistsError, match=r"photo` is an existing file"):
        save_panels(path, rows)
    assert path.read_text() == "a picture of the user's"
    save_panels(path, rows, overwrite=True)
    assert path.read_bytes().startswith(b"\x89PNG")
    assert [entry.name for entry in tmp_path.iterdir()] == ["photo"]


def test_the_figure_grows_with_its_panels(tmp_path: Path) -> None:
    picture = np.eye(4)
    save_panels(tmp_path / "p.png", {"a": {"x": picture, "y": picture, "z": picture}, "b": {"x": picture}})
    height, width, _ = imread(tmp_path / "p.png").shape
    inches = (2 * PANEL_SIZE[1] + FRAME_SIZE[1], 3 * PANEL_SIZE[0] + FRAME_SIZE[0])
    assert (height, width) == tuple(int(side * DOTS_PER_INCH) for side in inches)


def test_a_colour_bar_has_its_own_room(tmp_path: Path) -> None:
    rows = {"values": {"x": np.eye(4)}, "errors": {"x": np.eye(4)}}
    save_panels(tmp_path / "plain.png", rows, error_rows={"errors": 0.5})
    save_panels(tmp_path / "bars.png", rows, error_rows={"errors": 0.5}, colour_bars={"errors": "in m/s"})
    plain, bars = (imread(tmp_path / name) for name in ("plain.png", "bars.png"))
    assert bars.shape[1] - plain.shape[1] == round(COLOUR_BAR_WIDTH * DOTS_PER_INCH)
    upper, lower = np.split(bars[:, plain.shape[1] :, :3], 2)
    assert np.ptp(upper, axis=-1).max() == 0
    assert np.ptp(lower, axis=-1).max() > 0.5


def test_errors_are_in_colour_and_values_in_grey(tmp_path: Path) -> None:
    ramp = np.linspace(0, 1, 16).reshape(4, 4)
    save_panels(tmp_path / "grey.png", {"": {"": ramp}})
    save_panels(tmp_path / "errors.png", {"": {"": ramp}}, error_rows={"": 1.0})
    grey, errors = (imread(tmp_path / name)[..., :3] for name in ("grey.png", "errors.png"))
    assert np.ptp(grey, axis=-1).max() == 0
    assert np.ptp(errors, axis=-1).max() > 0.5


def test_a_given_range_makes_pictures_comparable(tmp_path: Path) -> None:
    dark, light = np.full((4, 4), 0.25), np.full((4, 4), 0.75)
    save_panels(tmp_path / "p.png", {"": {"dark": dark, "light": light}}, value_range=(0, 1))
    levels = set(np.unique(imread(tmp_path / "p.png")[..., 0]).tolist())
    assert any(abs(v - 0.25) < 0.01 for v in levels)
    assert any(abs(v - 0.75) < 0.01 for v in levels)
