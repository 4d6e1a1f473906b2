import numpy as np

from nvc_jax.reporting.views import render_views


def test_what_has_depth_is_rendered() -> None:
    volume = np.random.default_rng(0).uniform(0, 255, (8, 9, 10))
    rendered = render_views(volume, volume + 1)
    assert rendered is not None
    (original, decoded), opaque = rendered
    assert original.startswith("data:image/png;base64,")
    assert original != decoded
    assert 0 < opaque < 255


def test_flat_and_empty_volumes_are_not() -> None:
    assert render_views(np.zeros((1, 30, 30))) is None
    assert render_views(np.ones((16, 16, 16))) is None
    assert render_views(np.full((16, 16, 16), np.nan)) is None
