import numpy as np
import pytest

from nvc_jax.evaluation.rendering import render

BALL = np.linalg.norm(np.indices((32, 32, 32)) - 15.5, axis=0) < 8


def test_empty_space_is_white_and_matter_is_not() -> None:
    image = render(BALL, minimum=0, maximum=1, size=64)
    assert image.shape == (64, 64, 3)
    np.testing.assert_allclose(image[:8], 1, atol=1e-6)
    assert image[30:34, 30:34].max() < 0.9
    assert render(BALL * 0.1, minimum=0, maximum=1, size=16).min() == pytest.approx(1)


def test_a_ball_covers_its_disc_from_everywhere_and_zoom_magnifies() -> None:
    def covered(**view: float) -> float:
        image = render(BALL, minimum=0, maximum=1, opacity=0.9, threshold=0.1, size=96, **view)
        return float((image.min(axis=-1) < 0.95).mean())

    side = 0.8 * np.sqrt(3) * 32
    disc = np.pi * 8**2 / side**2
    for view in [{"azimuth": 0, "elevation": 0}, {"azimuth": 130, "elevation": 60}]:
        assert covered(**view) == pytest.approx(disc, rel=0.25)
    assert covered(zoom=1.5) / covered() == pytest.approx(1.5**2, rel=0.1)


def test_opacity_may_rise_at_once() -> None:
    half = render(BALL * 0.5, minimum=0, maximum=1, threshold=0.3, softness=0, opacity=1, size=32)
    assert half[15:17, 15:17].max() < 0.9
    np.testing.assert_allclose(half[0], 1, atol=1e-6)
    assert render(BALL, minimum=0, maximum=1, threshold=1, size=32).min() == 1


def test_pictures_are_seen_from_the_eye() -> None:
    volume = np.zeros((32, 32, 32))
    volume[26:30, 14:18, 14:18] = 1  # high in z: near the upper edge of the picture
    image = render(volume, minimum=0, maximum=1, elevation=0, opacity=0.9, size=64)
    rows = np.nonzero(image.min(axis=(1, 2)) < 0.95)[0]
    assert rows.max() < 32


@pytest.mark.parametrize("scale", [2.0**-1050, 2.0**-200, 2.0**200, 2.0**1023])
@pytest.mark.parametrize("offset", [0, -0.5])
def test_pictures_do_not_depend_on_the_unit(scale: float, offset: float) -> None:
    ball = BALL.astype(np.float64) / BALL.max() + offset
    expected = render(ball, minimum=ball.min(), maximum=ball.max(), size=32)
    ball = ball * (2 if offset else 1) * scale  # with the offset the largest range is beyond float64
    picture = render(ball, minimum=ball.min(), maximum=ball.max(), size=32)
    np.testing.assert_allclose(picture, expected, atol=1e-6)


def test_bad_ranges_are_named() -> None:
    with pytest.raises(ValueError, match=r"`maximum` \(=1\)"):
        render(BALL, minimum=1, maximum=1)
