"""The page of ``nvc view`` in a headless Chromium."""

import importlib.resources
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nvc_jax
from nvc_jax.cli.demo import SAMPLE
from nvc_jax.io.volumes import read_volume
from nvc_jax.viewer.server import open_all, serving

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium, of the extra test, is not installed")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DRIVER = shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="Chromium and its chromedriver are not on this machine"
)
OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--window-size=1280,900"),
)
VOLUME = read_volume(SAMPLE)[:20, :24, :28]
IS_DRAWN = """const canvases = [...document.querySelectorAll(".panel canvas")];
return canvases.length > 0 && canvases.every((canvas) => {
  const words = new Set(new Uint32Array(canvas.getContext("2d")
    .getImageData(0, 0, canvas.width, canvas.height).data.buffer));
  return canvas.getAttribute("aria-busy") === "false" && words.size > 30;
})"""
"""A page has no panels until it has asked for the volumes."""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for option in (*OPTIONS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def container(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("viewed") / "v.zarr"
    nvc_jax.compress(VOLUME, path, max_error=2, chunks=(16, 16, 16))
    return path


@pytest.fixture
def page(browser: Any, container: Path) -> Iterator[Any]:
    """Page that shows a container and its original."""
    with serving(open_all([container, VOLUME])) as address:
        browser.get_log("browser")  # of the page before
        browser.get(address)
        wait(browser, IS_DRAWN)
        yield browser
        assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []


def wait(browser: Any, script: str) -> Any:
    from selenium.webdriver.support.wait import WebDriverWait

    return WebDriverWait(browser, 60, 0.05).until(lambda driver: driver.execute_script(script))


def press(browser: Any, keys: str) -> None:
    """Press keys in the element that has the focus: without an element, a busy browser loses them."""
    browser.switch_to.active_element.send_keys(keys)


def texts(browser: Any, selector: str) -> list[str]:
    return browser.execute_script(
        "return [...document.querySelectorAll(arguments[0])].map((element) => element.textContent)", selector
    )


def position(browser: Any, axis: int) -> int:
    return int(browser.execute_script(f"return document.querySelector('#position-{axis} input').value"))


def test_two_volumes_and_their_difference_are_shown(page: Any) -> None:
    assert texts(page, ".panel h2") == ["v.zarr", "volume", "Difference, left − right"]
    assert page.title == "v.zarr, volume – nvc view"
    assert texts(page, "#axis label") == ["z", "y", "x"]


def test_keys_choose_slices_and_axes(page: Any) -> None:
    assert position(page, 0) == 10
    press(page, "\ue013\ue013\ue015")  # up twice, down once
    assert position(page, 0) == 11
    press(page, "\ue010")  # end
    assert position(page, 0) == 19
    press(page, "\ue00f")  # page down
    assert position(page, 0) == 9
    press(page, "x")
    wait(page, IS_DRAWN)
    visible = page.execute_script(
        "return [0, 1, 2].map((k) => !document.getElementById(`position-${k}`).hidden)"
    )
    assert visible == [False, False, True]
    label = page.find_element("css selector", "canvas").get_attribute("aria-label")
    assert "z down, y to the right" in label


def test_cursors_are_linked_and_values_are_those_of_the_volumes(page: Any, container: Path) -> None:
    canvas = page.find_elements("css selector", "canvas")[1]
    webdriver.ActionChains(page).move_to_element_with_offset(canvas, 8, 5).perform()
    wait(page, "return /^\\d/.test(document.querySelectorAll('.readout b')[1].textContent)")
    places = {text.rpartition("z ")[2] for text in texts(page, ".readout")}
    assert len(places) == 1
    z, y, x = (int(part.split(" ")[-1]) for part in places.pop().split(" · "))
    decoded = int(nvc_jax.open(container)[z, y, x].read().result())
    original = int(VOLUME[z, y, x])
    shown = [text.replace("−", "-") for text in texts(page, ".readout b")]
    assert shown == [str(decoded), str(original), str(decoded - original)]


def test_wheel_zoom_and_contrast(page: Any) -> None:
    canvas = page.find_element("css selector", "canvas")
    origin = webdriver.common.actions.wheel_input.ScrollOrigin.from_element(canvas)
    webdriver.ActionChains(page).scroll_from_origin(origin, 0, 100).perform()
    wait(page, "return document.querySelector('#position-0 input').value === '12'")
    before = page.find_element("id", "width-text").text
    webdriver.ActionChains(page).key_down("\ue008").move_to_element(canvas).click_and_hold().move_by_offset(
        40, 0
    ).release().key_up("\ue008").perform()
    assert float(page.find_element("id", "width-text").text) > float(before)
    press(page, "a")
    assert float(page.find_element("id", "width-text").text) < 256
    picture = "return document.querySelector('canvas').toDataURL()"
    whole = page.execute_script(picture)
    press(page, "+++")
    assert page.execute_script(picture) != whole
    press(page, "0")
    webdriver.ActionChains(page).move_to_element(page.find_element("tag name", "h1")).perform()
    assert page.execute_script(picture) != ""


def test_every_control_has_a_name(page: Any) -> None:
    names = page.execute_script(
        """return [...document.querySelectorAll("button, input, select, canvas, fieldset")].map((element) =>
        element.getAttribute("aria-label") || element.textContent.trim() ||
        [...(element.labels ?? [])].map((label) => label.textContent.trim()).join())"""
    )
    assert len(names) > 20
    assert all(names)


def test_a_damaged_chunk_is_told_in_words_and_the_rest_is_shown(
    browser: Any, container: Path, tmp_path: Path
) -> None:
    shutil.copytree(container, tmp_path / "v.zarr")
    damaged = tmp_path / "v.zarr" / "c" / "1" / "0" / "0"
    damaged.write_bytes(damaged.read_bytes()[:-40])
    with serving(open_all([tmp_path / "v.zarr"])) as address:
        browser.get(address)
        wait(browser, IS_DRAWN)
        press(browser, "\ue010")
        wait(browser, "return !document.querySelector('.panel [role=alert]').hidden")
        assert "chunk (1, 0, 0)" in texts(browser, ".panel [role=alert]")[0]
        press(browser, "\ue011")
        wait(browser, "return document.querySelector('.panel [role=alert]').hidden")
        wait(browser, IS_DRAWN)
    press(browser, "\ue010")  # which the page has not kept, and nobody answers now
    wait(browser, "return !document.querySelector('.panel [role=alert]').hidden")
    assert "has ended" in texts(browser, ".panel [role=alert]")[0]


def test_time_and_channels_have_sliders(browser: Any) -> None:
    series = np.random.default_rng(0).normal(size=(3, 2, 5, 20, 30)).astype(np.float32)
    with serving(open_all([series])) as address:
        browser.get(address)
        wait(browser, IS_DRAWN)
        press(browser, "\ue014")  # right
        assert [position(browser, axis) for axis in range(3)] == [1, 0, 2]
        wait(browser, IS_DRAWN)


def test_the_page_and_its_modules_are_data_of_the_package() -> None:
    names = {file.name for file in importlib.resources.files("nvc_jax.viewer").joinpath("page").iterdir()}
    assert {
        "index.html",
        "style.css",
        "main.js",
        "panel.js",
        "slices.js",
        "numbers.js",
        "colours.js",
    } <= names
