"""A row's sheet in a real browser: its drawings, as text too, and on paper."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.pictured import data, measured

from hiereval.leaderboard import page
from hiereval.leaderboard.album import Album
from hiereval.leaderboard.board import build
from hiereval.leaderboard.paired import SamplesBeside
from hiereval.places import Places
from hiereval.records import Record

Open = Callable[..., Any]


def texts(browser: Any, selector: str) -> list[str]:
    return [element.text for element in browser.find_elements("css selector", selector)]


def attributes(browser: Any, selector: str, name: str) -> list[float]:
    elements = browser.find_elements("css selector", selector)
    return [float(element.get_attribute(name)) for element in elements]


def open_row(browser: Any, name: str) -> None:
    browser.execute_script(
        "const s = section(0); for (let i = 0; i < s.size; i++) if (s.name(i) === arguments[0]) "
        "return show(i);",
        name,
    )


def test_the_map_draws_a_ring_for_each_tier_to_a_scale_that_it_tells(
    opened: Open, full: list[Record]
) -> None:
    browser = opened(full)
    open_row(browser, "clip-b32")
    (image,) = browser.find_elements("css selector", "#sheet .map")
    assert image.get_attribute("aria-label") == (
        "clip-b32: map of radii around the root, tier 1 .900, tier 2 .970, tier 3 1.03, tier 4 1.06"
    )
    low, high = 0.85, 1.11  # the least and the largest that is drawn
    expected = [26 + 74 * (mean - low) / (high - low) for mean in (0.9, 0.97, 1.03, 1.06)]
    assert attributes(browser, ".map .ring", "r") == pytest.approx(expected, abs=0.051)
    assert attributes(browser, ".map .cut", "r") == [26]
    assert texts(browser, ".re-map tbody tr") == [
        "1 .900 .850 to .950",
        "2 .970 .920 to 1.02",
        "3 1.03 .980 to 1.08",
        "4 1.06 1.01 to 1.11",
    ]
    assert texts(browser, ".re-map figcaption") == [
        "The root is in the middle. A ring is a tier's mean radius, the bar across it the middle "
        "half of its captions. The dashed circle stands for a radius of .850; distances are to "
        "scale beyond it alone. Angles mean nothing."
    ]
    # a bar reaches from quartile to quartile, outwards from the root
    bars = browser.find_elements("css selector", ".map .half")
    for bar, ends in zip(
        bars, ((0.85, 0.95), (0.92, 1.02), (0.98, 1.08), (1.01, 1.11)), strict=True
    ):
        for which, radius in enumerate(ends, 1):
            x, y = (float(bar.get_attribute(f"{axis}{which}")) - 120 for axis in "xy")
            drawn = 26 + 74 * (radius - low) / (high - low)
            assert (x * x + y * y) ** 0.5 == pytest.approx(drawn, abs=0.1)


def test_a_map_whose_radii_lie_apart_is_to_scale_from_the_root(
    opened: Open, full: list[Record]
) -> None:
    browser = opened(full)
    open_row(browser, "words")
    expected = [100 * mean / 11.1 for mean in (2, 4, 7, 11)]  # the largest is 11.05: three digits
    assert attributes(browser, ".map .ring", "r") == pytest.approx(expected, abs=0.051)
    assert browser.find_elements("css selector", ".map .cut") == []
    assert texts(browser, ".re-map figcaption")[0].endswith(
        "half of its captions. Angles mean nothing."
    )


def test_a_row_without_radii_has_no_map(opened: Open, full: list[Record]) -> None:
    browser = opened(full)
    open_row(browser, "constant")
    assert browser.find_element("id", "sheet").is_displayed()
    assert browser.find_elements("css selector", "#sheet .map") == []


def test_an_open_sheet_is_printed_whole_alone_and_in_ink(opened: Open, full: list[Record]) -> None:
    browser = opened(full)
    open_row(browser, "clip-b32")
    browser.execute_script("document.documentElement.dataset.theme = 'dark'")
    style = "return getComputedStyle(document.querySelector(arguments[0]))[arguments[1]]"
    assert browser.execute_script(style, "#sheet", "color") == "rgb(230, 228, 224)"
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        assert browser.execute_script(style, "#sheet", "color") == "rgb(34, 37, 42)"
        assert browser.execute_script(style, "#sheet", "overflowY") == "visible"
        assert browser.execute_script(style, "#sheet", "maxHeight") == "none"
        assert browser.find_element("css selector", "#sheet .map").is_displayed()
        assert not browser.find_element("id", "table").is_displayed()
        assert not browser.find_element("css selector", "footer").is_displayed()
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


# --- single items --------------------------------------------------------------------------------


def album(results: Path) -> Album:
    return Album(SamplesBeside([results]), Places(cache=results, data=results, offline=True))


def test_captions_stand_on_the_spoke_of_their_chain(opened: Open, tmp_path: Path) -> None:
    browser = opened(measured(tmp_path), album=Album(SamplesBeside([tmp_path])))
    open_row(browser, "toy")
    marks = browser.execute_script(
        "return [...document.querySelectorAll('.map .caption')].map((m) => [m.getAttribute('d'), "
        "m.getAttribute('transform').match(/[-\\d.]+/g).map(Number)])"
    )
    assert len(marks) == 4 * 48
    assert len({shape for shape, _ in marks}) == 4
    low, high = 0.45, 0.9
    for k, (_, (x, y)) in enumerate(marks):
        chain, tier = divmod(k, 4)
        falls = chain * 1000 // 48 % 4 == 3
        radius = (9 - tier) / 10 if falls else (5 + tier) / 10
        length = 100 * radius / high
        turn = 2 * math.pi * chain / 48
        assert (x - 120, 120 - y) == pytest.approx(
            (length * math.sin(turn), length * math.cos(turn)), abs=0.051
        )
    assert low <= high / 2  # so distances are to scale from the root on
    assert texts(browser, ".re-map figcaption")[0].endswith(
        "A spoke is one chain (48 of 1,000, in the data's order), its marks are its captions; the "
        "bars' angles mean nothing."
    )
    assert len(browser.find_elements("css selector", ".re-map tbody .key")) == 4
    assert browser.find_elements("css selector", "#sheet img") == []


def test_captions_far_off_stand_at_the_end_of_the_scale(opened: Open, tmp_path: Path) -> None:
    records = measured(tmp_path, far={0: [0.5, 0.6, 0.7, 50.0]})
    browser = opened(records, album=Album(SamplesBeside([tmp_path])))
    open_row(browser, "toy")
    marks = browser.find_elements("css selector", ".map .caption")
    assert marks[3].get_attribute("transform") == "translate(120.0 20.0)"
    assert texts(browser, ".re-map figcaption")[0].endswith("Off the scale, at its end: 1 caption.")


def test_the_best_and_the_worst_images_are_shown_with_their_paths(
    opened: Open, tmp_path: Path
) -> None:
    browser = opened(measured(tmp_path), album=album(tmp_path))
    open_row(browser, "toy")
    assert texts(browser, "#sheet h4") == [
        "retrieval, best", "retrieval, worst", "ordering, best", "ordering, worst",
    ]  # fmt: skip
    images = browser.find_elements("css selector", "#sheet img")
    assert len(images) == 12
    sizes = browser.execute_script(
        "return Promise.all([...document.querySelectorAll('#sheet img')].map(async (one) => "
        "{ await one.decode(); return [one.naturalWidth, one.naturalHeight]; }))"
    )
    assert sizes == [[48, 48]] * 12
    chain = [data().texts[t] for t in data().chains[0]]
    assert images[6].get_attribute("alt") == chain[-1]
    shots = browser.find_elements("css selector", "#sheet .shot")
    assert shots[6].text.split("\n") == [
        "tau 1.000", *(part for pair in zip(chain, (".500", ".600", ".700", ".800"), strict=True)
                       for part in pair),
    ]  # fmt: skip
    assert shots[0].text.split("\n") == [
        "recall .999, precision .250", "something", "not its own", "a thing", "its tier 1",
        "a red thing", "its tier 2",
    ]  # fmt: skip
    assert texts(browser, "#sheet h3 + .small") == [
        "retrieval: ranked by recall, then precision, of the radius sweep; of equal items the "
        "earlier in the data comes first. Paths go from general to specific."
    ]
    assert browser.get_log("browser") == []
    assert browser.execute_script("return performance.getEntriesByType('resource')") == []


def test_what_is_missing_is_said_in_words(opened: Open, tmp_path: Path) -> None:
    records = measured(tmp_path, dataset__sha256="e" * 64)
    browser = opened(
        [*records, *measured(None, "bare", dataset__sha256="e" * 64)], album=album(tmp_path)
    )
    open_row(browser, "toy")
    assert texts(browser, "#sheet .no-image") == ["dataset at hand is another version"] * 12
    open_row(browser, "bare")
    (said,) = browser.find_elements(
        "xpath", "//h3[.='Best and worst images of bare']/following::p[1]"
    )
    assert said.text == (
        "No pictures: a row needs samples beside its records ('hiereval run --log-samples'), and "
        "the first rows that have some fill a page."
    )
    assert browser.get_log("browser") == []


def test_captions_of_strangers_are_text(
    opened: Open, tmp_path: Path, hostile_strings: tuple[str, ...]
) -> None:
    records = measured(tmp_path, captions=list(hostile_strings))
    browser = opened(records, album=album(tmp_path))
    open_row(browser, "toy")
    assert len(browser.find_elements("css selector", "#sheet img")) == 12
    assert browser.get_log("browser") == []
    assert browser.execute_script("return document.scripts.length") == 2
    foreign = (
        "return document.querySelectorAll('#sheet a, #sheet iframe, #sheet svg script').length"
    )
    assert browser.execute_script(foreign) == 0
    assert "<script>alert(1)</script>" in texts(browser, "#sheet .shot bdi")
    source = (tmp_path / "board.html").read_text("utf-8")
    assert "<script>alert(1)" not in source
    assert "\u202e" not in source


def test_the_same_samples_give_the_same_bytes(tmp_path: Path) -> None:
    board = build(measured(tmp_path), every_metric=True)
    assert page.written(board, album=album(tmp_path)) == page.written(board, album=album(tmp_path))


def test_a_sheet_with_pictures_fits_a_telephone(opened: Open, tmp_path: Path) -> None:
    records = measured(tmp_path, captions=["z" * 400])
    browser = opened(records, album=album(tmp_path))
    size = {"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        open_row(browser, "toy")
        wide = "const s = document.getElementById('sheet'); return s.scrollWidth - s.clientWidth"
        assert browser.execute_script(wide) == 0
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_axe_finds_nothing_in_a_sheet_with_pictures(
    opened: Open, axe: Callable[[Any], list[Any]], tmp_path: Path
) -> None:
    records = [*measured(tmp_path), *measured(tmp_path, "other", dataset__sha256=data().sha256)]
    for theme in ("light", "dark"):
        browser = opened(records, album=album(tmp_path))
        browser.execute_script(f"document.documentElement.dataset.theme = '{theme}'; show(0, 1)")
        assert axe(browser) == []
