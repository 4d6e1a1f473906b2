from pathlib import Path

import pytest
from browser import browser, requested_addresses
from selenium.webdriver import ActionChains, Keys

import nvc_jax
from nvc_jax.cli.demo import SAMPLE
from nvc_jax.io.volumes import read_volume

MOST_BYTES = 5_000_000


@pytest.fixture(scope="session")
def written(stored, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    """A page, and what ``report`` returned."""
    page = tmp_path_factory.mktemp("page") / "v.html"
    return page, nvc_jax.report(stored.volume, stored.container, page, against=["sperr", "zfp"])


def test_the_result_has_the_figures(written: tuple[Path, dict], stored) -> None:
    page, result = written
    assert (result["page"], result["voxels"], result["kept"]) == (str(page), stored.volume.size, True)
    assert list(result["figures"]) == ["nvc-1", "SPERR", "zfp"]
    measured = nvc_jax.evaluate(stored.volume, stored.container)
    assert result["figures"]["nvc-1"] == measured
    assert page.stat().st_size < MOST_BYTES


def test_a_page_of_the_users_is_kept(written: tuple[Path, dict], stored) -> None:
    page, _ = written
    before = page.read_bytes()
    with pytest.raises(FileExistsError, match="is an existing file"):
        nvc_jax.report(stored.volume, stored.container, page)
    assert page.read_bytes() == before


def test_another_volume_is_told(tmp_path: Path) -> None:
    volume = read_volume(SAMPLE)[:5, :16, :16]
    nvc_jax.compress(volume, tmp_path / "v.zarr", lossless=True)
    page = tmp_path / "v.html"
    assert nvc_jax.report(volume, tmp_path / "v.zarr", page)["kept"] is True
    assert "NOT KEPT" not in page.read_text()
    assert nvc_jax.report(volume[::-1], tmp_path / "v.zarr", page, overwrite=True)["kept"] is False
    assert "NOT KEPT" in page.read_text()


def test_unknown_codecs_are_refused_before_any_work(stored, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'jpeg' is no codec known here"):
        nvc_jax.report(stored.volume, stored.container, tmp_path / "v.html", against=["jpeg"])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("width", [420, 1280])
def test_the_swipe_obeys_mouse_and_keys(written: tuple[Path, dict], tmp_path: Path, width: int) -> None:
    page, _ = written
    with browser(tmp_path / "profile", width=width) as driver:
        driver.get(page.as_uri())
        swipe = driver.find_element("css selector", ".swipe")
        slider, plane, line, over = (
            swipe.find_element("css selector", name) for name in ("input", ".plane", ".line", ".over")
        )

        def place() -> float:
            """Place of the border, as a share of the plane's width."""
            return (line.rect["x"] + 1 - plane.rect["x"]) / plane.rect["width"]

        assert place() == pytest.approx(0.5, abs=0.02)
        clipped = over.value_of_css_property("clip-path")
        quarter = int(plane.rect["width"] / 4)
        ActionChains(driver).move_to_element(slider).click_and_hold().move_by_offset(
            quarter, 0
        ).release().perform()
        assert place() == pytest.approx(0.75, abs=0.03)
        assert over.value_of_css_property("clip-path") != clipped

        slider.send_keys(Keys.HOME)
        assert place() == pytest.approx(0, abs=0.02)
        decoded = plane.screenshot_as_png
        slider.send_keys(Keys.END)
        assert plane.screenshot_as_png != decoded
        slider.send_keys(*[Keys.ARROW_LEFT] * 4)
        assert float(slider.get_attribute("value")) == 98
        assert slider.get_attribute("aria-valuetext") == "98 % original, the rest decoded"
        assert "xy plane" in slider.accessible_name
        assert plane.value_of_css_property("outline-style") == "solid"

        root = "return document.documentElement"
        assert driver.execute_script(f"{root}.scrollWidth <= {root[7:]}.clientWidth")
        assert driver.get_log("browser") == []
        addresses = requested_addresses(driver, page.as_uri())
        assert page.as_uri() in addresses
        assert {address.split(":")[0] for address in addresses} <= {"file", "data"}
