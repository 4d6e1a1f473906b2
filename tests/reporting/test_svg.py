import base64
import io
import re
import xml.etree.ElementTree as ElementTree

import numpy as np
from PIL import Image

from nvc_jax.reporting import svg


def draw(label: str) -> str:
    with svg.drawing() as figure_class:
        figure = figure_class(figsize=(2, 2))
        axes = figure.add_axes((0.2, 0.2, 0.7, 0.7))
        axes.imshow(np.arange(64.0).reshape(8, 8), cmap="gray", interpolation="none")
        axes.set(xlabel="x & y")
        return svg.to_svg(figure, label)


def test_a_figure_is_one_element_in_the_colours_of_the_page() -> None:
    text = draw('a "label" < 3')
    root = ElementTree.fromstring(text)
    assert (root.get("role"), root.get("aria-label")) == ("img", 'a "label" < 3')
    assert "currentColor" in text
    assert "#0a0b0c" not in text
    assert "x &amp; y" in text
    assert "system-ui" in text
    assert not re.search(r"https?://(?!www\.w3\.org)", text)


def test_pictures_keep_their_colours() -> None:
    encoded = re.findall(r"base64,([A-Za-z0-9+/=]+)", draw("label"))
    with Image.open(io.BytesIO(base64.b64decode(encoded[0]))) as image:
        assert image.mode == "P"
        greys = np.asarray(image.convert("RGBA"))[..., 0]
    assert len(np.unique(greys)) == 64
    assert (greys.min(), greys.max()) == (0, 255)
