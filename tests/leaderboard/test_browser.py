"""The page in a real browser, opened from disk."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hiereval.leaderboard import page
from hiereval.leaderboard.board import build
from hiereval.records import Record

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--window-size=1300,900",
)  # fmt: skip
SHOWN = """
    return [...document.querySelectorAll('tbody.entry[data-kind="' + arguments[0] + '"]')]
        .filter(e => !e.hidden).map(e => e.dataset.name)
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    binary, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if binary is None or driver is None:
        pytest.skip("chromium and chromedriver are not installed")
    from selenium import webdriver

    folder = tmp_path_factory.mktemp("browser")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for flag in (*FLAGS, f"--user-data-dir={folder / 'profile'}"):
        options.add_argument(flag)
    options.add_experimental_option("prefs", {"download.default_directory": str(folder)})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = webdriver.ChromeService(executable_path=driver)
    with webdriver.Chrome(options=options, service=service) as chrome:
        chrome.folder = folder
        yield chrome


@pytest.fixture
def opened(browser: Any, tmp_path: Path) -> Callable[[list[Record]], Any]:
    """Open the board of some records from file://."""

    def open_page(records: list[Record]) -> Any:
        file = tmp_path / "board.html"
        file.write_text(page.written(build(records), records), "utf-8")
        for log in ("browser", "performance"):
            browser.get_log(log)
        browser.get(file.as_uri())
        return browser

    return open_page


def shown(browser: Any, kind: str = "measured") -> list[str]:
    return browser.execute_script(SHOWN, kind)


def head(browser: Any, text: str) -> Any:
    for button in browser.find_elements("css selector", ".sort"):
        if button.text.replace("\n", "").startswith(text):
            return button
    raise AssertionError(f"no column {text}")


def test_it_sorts_by_click_and_by_keyboard(
    opened: Callable[[list[Record]], Any], full: list[Record]
) -> None:
    browser = opened(full)
    assert shown(browser) == ["clip-b32 / radial-linear", "siglip-base", "clip-b32", "toy"]
    button = head(browser, "auroc")
    button.click()
    cell = button.find_element("xpath", "..")
    assert cell.get_attribute("aria-sort") == "descending"
    assert shown(browser) == ["siglip-base", "clip-b32", "toy", "clip-b32 / radial-linear"]
    button.send_keys("\ue007")  # Enter
    assert cell.get_attribute("aria-sort") == "ascending"
    assert shown(browser) == ["toy", "clip-b32", "siglip-base", "clip-b32 / radial-linear"]
    assert browser.find_element("id", "status").text == "Sorted by auroc ↑, ascending."
    head(browser, "model").send_keys(" ")
    assert cell.get_attribute("aria-sort") == "none"
    assert shown(browser) == sorted(shown(browser))
    assert shown(browser, "control") == [
        "characters", "clip-b32 (random init)", "constant", "words",
    ]  # fmt: skip


def test_controls_stay_below_the_measured(
    opened: Callable[[list[Record]], Any], full: list[Record]
) -> None:
    browser = opened(full)
    head(browser, "tau_d").click()
    kinds = browser.execute_script(
        "return [...document.querySelectorAll('.board tbody')].map(e => e.dataset.kind || '-')"
    )
    assert kinds == ["measured"] * 4 + ["-"] + ["control"] * 4


def test_it_filters_rows_and_panels(
    opened: Callable[[list[Record]], Any], full: list[Record]
) -> None:
    browser = opened(full)
    field = browser.find_element("id", "filter")
    field.send_keys("CLIP radial")
    assert shown(browser) == ["clip-b32 / radial-linear"]
    assert shown(browser, "control") == []
    assert browser.find_element("id", "status").text == "1 of 8 rows shown."
    assert not any(p.is_displayed() for p in browser.find_elements("class name", "panel"))
    field.send_keys("\ue00c")  # Escape
    assert len(shown(browser)) == 4


def test_details_open_by_keyboard(
    opened: Callable[[list[Record]], Any], full: list[Record]
) -> None:
    browser = opened(full)
    button = browser.find_elements("class name", "more")[1]
    sheet = browser.find_element("id", button.get_attribute("aria-controls"))
    assert not sheet.is_displayed()
    button.send_keys("\ue007")
    assert sheet.is_displayed()
    assert button.get_attribute("aria-expanded") == "true"
    for fact in ("0123456789abcdef0123456789abcdef01234567", "float32", "0 of 3,132", "e" * 64):
        assert fact in sheet.text


def test_dark_and_light(opened: Callable[[list[Record]], Any], full: list[Record]) -> None:
    browser = opened(full)
    background = "return getComputedStyle(document.body).backgroundColor"
    light = browser.execute_script(background)
    browser.find_element("id", "theme").click()
    dark = browser.execute_script(background)
    assert (light, dark) == ("rgb(252, 251, 249)", "rgb(20, 22, 26)")


def test_nothing_is_loaded_and_nothing_complains(
    opened: Callable[[list[Record]], Any], full: list[Record]
) -> None:
    import json

    browser = opened(full)
    head(browser, "auroc").click()
    assert browser.get_log("browser") == []
    assert browser.execute_script("return performance.getEntriesByType('resource')") == []
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [
        event["params"]["request"]["url"]
        for event in events
        if event["method"] == "Network.requestWillBeSent"
    ]
    assert asked
    assert all(url.startswith(("file://", "data:")) for url in asked)


def test_the_csv_is_downloaded(opened: Callable[[list[Record]], Any], full: list[Record]) -> None:
    import time

    browser = opened(full)
    browser.find_element("id", "csv").click()
    file = browser.folder / "hiereval-board.csv"
    for _ in range(100):
        if file.exists():
            break
        time.sleep(0.1)
    assert file.read_text("utf-8").startswith("model,adapter,checkpoint,")


def test_hostile_rows_do_nothing(
    opened: Callable[[list[Record]], Any],
    hostile_everywhere: Callable[[str], Record],
    hostile_strings: tuple[str, ...],
) -> None:
    browser = opened([hostile_everywhere(text) for text in hostile_strings])
    assert browser.get_log("browser") == []
    assert len(shown(browser)) == len(hostile_strings)
    assert browser.execute_script("return document.scripts.length") == 1
    for button in browser.find_elements("class name", "sort")[:3]:
        button.click()
    assert browser.get_log("browser") == []


def test_the_page_is_never_wider_than_a_telephone(
    opened: Callable[[list[Record]], Any], full: list[Record], long_record: Record
) -> None:
    browser = opened([*full, long_record])
    size = {"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        width = browser.execute_script("return document.documentElement.scrollWidth")
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert width <= 390
