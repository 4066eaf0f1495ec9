"""A row's sheet in a real browser: its drawings, as text too, and on paper."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

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
