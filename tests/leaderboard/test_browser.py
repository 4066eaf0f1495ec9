"""The page in a real browser, opened from disk."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from support.made_records import judged

from hiereval.records import Record

SHOWN = """
    const s = section(state.section);
    const rows = document.querySelectorAll('#' + arguments[0] + ' tr.entry');
    return [...rows].map((row) => s.name(row.dataset.row));
"""


def shown(browser: Any, body: str = "rows") -> list[str]:
    return browser.execute_script(SHOWN, body)


def text(browser: Any, selector: str) -> list[str]:
    return [element.text for element in browser.find_elements("css selector", selector)]


def status(browser: Any) -> str:
    return browser.find_element("id", "status").text


def choose(browser: Any, select: str, option: str) -> None:
    browser.execute_script("for (const d of document.querySelectorAll('details')) d.open = true")
    from selenium.webdriver.support.ui import Select

    Select(browser.find_element("id", select)).select_by_visible_text(option)


def address(browser: Any) -> str:
    return browser.execute_script("return location.hash")


def head(browser: Any, name: str) -> Any:
    for button in browser.find_elements("css selector", "#head .sort"):
        if button.text.split()[0] == name:
            return button
    raise AssertionError(f"no column {name}")


Open = Callable[..., Any]


@pytest.fixture(scope="module")
def many(record: Callable[..., Record]) -> list[Record]:
    """Three hundred models of different sizes, a third of them incomplete."""
    return [
        record(
            f"model-{i:03d}", task, {name: judged(0.5 + i / 1000)}, model__n_params=10**6 * (i + 1)
        )
        for i in range(300)
        for task, name in (("ordering", "tau_d"), ("entailment", "auroc"))[: 1 if i % 3 == 0 else 2]
    ]


def test_it_sorts_by_click_and_by_keyboard(opened: Open, full: list[Record]) -> None:
    browser = opened(full)
    button = head(browser, "auroc")
    button.click()
    button = head(browser, "auroc")
    cell = button.find_element("xpath", "..")
    assert cell.get_attribute("aria-sort") == "descending"
    assert shown(browser) == ["siglip-base", "clip-b32", "toy", "clip-b32 / radial-linear"]
    browser.switch_to.active_element.send_keys("\ue007")  # Enter
    assert (
        head(browser, "auroc").find_element("xpath", "..").get_attribute("aria-sort") == "ascending"
    )
    assert shown(browser) == ["toy", "clip-b32", "siglip-base", "clip-b32 / radial-linear"]
    assert status(browser) == "Sorted by auroc ↑, ascending. 4 of 4 rows shown."
    head(browser, "model").send_keys(" ")
    assert shown(browser) == sorted(shown(browser))


def test_what_is_no_finding_is_never_bold_nor_first(
    opened: Open, record: Callable[..., Record]
) -> None:
    from support.made_records import make_twins

    records = [
        record("luck", metrics={"tau_d": judged(0.95, p=0.4)}),
        record("found", metrics={"tau_d": judged(0.90)}),
        record("also", metrics={"tau_d": judged(0.80)}),
        *make_twins(*(0.3, 0.31, 0.32, 0.3, 0.31)),
    ]
    browser = opened(records)
    assert shown(browser) == ["found", "also", "luck"]
    cells = browser.find_elements("css selector", "#rows td")
    assert [cell.get_attribute("class") for cell in cells] == ["best", "", "unsure"]
    assert [cell.find_element("class name", "value").text for cell in cells] == [
        ".900",
        ".800",
        ".950†",
    ]
    assert browser.execute_script("return document.querySelector('#rows .unsure').textContent") == (
        ".950† no finding.940–.960"
    )
    assert text(browser, "#rows .rank") == ["rank\n1", "rank\n2"]


def test_controls_twins_and_blind_scores_stand_in_a_band(opened: Open, full: list[Record]) -> None:
    browser = opened(full)
    assert text(browser, "#band .band-name") == ["Best blind score"]
    assert shown(browser, "band") == ["characters", "constant", "words", "clip-b32 (random init)"]
    browser.find_element("id", "controls").click()
    assert shown(browser, "band") == []
    assert "controls=0" in address(browser)


def test_search_and_escape(opened: Open, full: list[Record]) -> None:
    browser = opened(full)
    field = browser.find_element("id", "search")
    field.send_keys("CLIP radial")
    assert shown(browser) == ["clip-b32 / radial-linear"]
    assert status(browser) == "1 of 4 rows shown."
    field.send_keys("\ue00c")  # Escape
    assert len(shown(browser)) == 4
    field.send_keys("nobody")
    assert text(browser, "#rows td") == ["No model is left by these filters."]


def test_it_filters_by_facts_and_complete_rows(opened: Open, many: list[Record]) -> None:
    browser = opened(many)
    choose(browser, "f-size", "under 100 M (99)")
    assert status(browser) == "99 of 300 rows shown."
    browser.find_element("id", "complete").click()
    assert status(browser) == "66 of 300 rows shown."
    choose(browser, "f-probe", "empty-root (300)")
    browser.find_element("id", "clear").click()
    assert status(browser) == "300 of 300 rows shown."


@pytest.mark.parametrize(
    ("select", "option", "left"),
    [
        ("f-family", "siglip (1)", ["siglip-base"]),
        ("f-geometry", "lorentz (1)", ["meru-b"]),
        ("f-licence", "MIT (1)", ["hierarcaps-b"]),
        ("f-open", "open weights (1)", ["hierarcaps-b"]),
        ("f-status", "verified (1)", ["siglip-base"]),
        ("f-status", "verified from samples (1)", ["meru-b"]),
        ("f-status", "measured (1)", ["hierarcaps-b"]),
    ],
)
def test_each_fact_filters(
    opened: Open, record: Callable[..., Record], select: str, option: str, left: list[str]
) -> None:
    records = [
        record("siglip-base"),
        record("meru-b", model__geometry="lorentz", model__curvature=1.0),
        record("hierarcaps-b", model__checkpoint="malper/hierarcaps-clip-b"),
    ]
    known = {records[0].record_id: "vectors", records[1].record_id: "samples"}
    browser = opened(records, verified=known)
    choose(browser, select, option)
    assert sorted(shown(browser)) == sorted(left)
    assert status(browser) == f"{len(left)} of 3 rows shown."
    assert f"{select}=" in address(browser)
    choose(browser, select, "all")
    assert len(shown(browser)) == 3


def test_a_probe_is_chosen_by_the_reader(opened: Open, full: list[Record]) -> None:
    browser = opened(full)
    choose(browser, "f-probe", "empty-root (3)")
    assert sorted(shown(browser)) == ["clip-b32", "siglip-base", "toy"]


def test_the_columns_of_a_task_are_chosen_together(opened: Open, full: list[Record]) -> None:
    browser = opened(full)
    browser.execute_script("for (const d of document.querySelectorAll('details')) d.open = true")
    before = text(browser, "#head th[scope=colgroup]")
    assert "retrieval" not in before
    every = "//fieldset[legend='retrieval']//button"
    retrieval = len(browser.find_elements("xpath", "//fieldset[legend='retrieval']//input"))
    browser.find_element("xpath", every).click()
    group = browser.find_element("xpath", "//thead[@id='head']//th[text()='retrieval']")
    assert group.get_attribute("colspan") == str(retrieval)
    browser.find_element("xpath", every).click()
    assert text(browser, "#head th[scope=colgroup]") == before


def test_the_order_is_chosen_without_a_column(opened: Open, many: list[Record]) -> None:
    browser = opened(many)
    choose(browser, "order", "parameters")
    assert shown(browser)[:2] == ["model-000", "model-001"]
    assert "sort=params" in address(browser)
    choose(browser, "order", "parameters")
    assert shown(browser)[:2] == ["model-299", "model-298"]


def test_columns_are_chosen_by_the_reader(opened: Open, full: list[Record]) -> None:
    browser = opened(full)
    browser.execute_script("for (const d of document.querySelectorAll('details')) d.open = true")
    before = text(browser, "#head .sort")
    assert "exact_order ↑" not in before
    (box,) = [
        b
        for b in browser.find_elements("css selector", "#columns label")
        if b.text == "exact_order"
    ]
    box.click()
    assert "exact_order ↑" in text(browser, "#head .sort")
    browser.find_element("css selector", "#columns .button").click()  # headline columns
    assert text(browser, "#head .sort") == before


def test_datasets_are_chosen_by_the_reader(opened: Open, record: Callable[..., Record]) -> None:
    browser = opened([record("a"), record("b", dataset__name="other")])
    assert shown(browser) == ["a"]
    choose(browser, "dataset", "other test")
    assert shown(browser) == ["b"]
    assert address(browser) == "#dataset=other+test"


def test_a_link_reproduces_the_view(opened: Open, many: list[Record]) -> None:
    browser = opened(many)
    head(browser, "auroc").click()
    browser.find_element("id", "search").send_keys("model-1")
    choose(browser, "f-size", "100 to 500 M (201)")
    browser.find_element("css selector", "#rows .more").click()
    link, names, head_now = address(browser), shown(browser), text(browser, "#head .sort")
    browser = opened(many, link)
    assert shown(browser)[:15] == names[:15]
    assert text(browser, "#head .sort") == head_now
    assert browser.find_element("id", "sheet").is_displayed()
    opened(many, "#dataset=x&sort=99&column=7&open=-1&beside=0&f-size=%3Cscript%3E&x=__proto__")
    assert browser.get_log("browser") == []


def test_a_link_means_the_same_rows_and_columns_on_a_board_that_has_grown(
    opened: Open, full: list[Record], record: Callable[..., Record]
) -> None:
    values = {"tau_d": 0.9, "exact_order": 0.5}
    rows = [
        record(name, metrics=values, model__fingerprint=mark * 64)
        for name, mark in (("b", "1"), ("c", "2"))
    ]
    browser = opened(rows)
    browser.execute_script("sortBy('1')")
    browser.find_elements("css selector", "#rows .more")[1].click()
    browser.find_element("id", "beside").send_keys("b")
    link = address(browser)
    assert link == "#sort=ordering+exact_order&open=222222222222&beside=111111111111"
    more = [
        record("a", "entailment", {"auroc": 0.9}, model__fingerprint="3" * 64),
        record(
            "a", metrics={"tau_d": 0.8, "adversarial_accuracy": 0.5}, model__fingerprint="3" * 64
        ),
    ]
    browser = opened([*more, *rows], link)
    assert text(browser, "#sheet h2") == ["c beside b"]
    assert browser.execute_script("return section(0).columns[Number(state.sort)].name") == (
        "ordering exact_order"
    )


def test_a_sheet_opens_at_its_scores_and_no_keyboard_covers_it(
    opened: Open, full: list[Record]
) -> None:
    browser = opened(full)
    browser.find_element("css selector", "#rows .more").click()
    assert browser.switch_to.active_element.get_attribute("id") == "close"
    top = "return document.querySelector(arguments[0]).getBoundingClientRect().top"
    scores = browser.execute_script(top, "#sheet table")
    assert scores < browser.execute_script(top, "#sheet .card")


def test_the_order_is_named_where_it_is_chosen(opened: Open, full: list[Record]) -> None:
    browser = opened(full)
    told = "return document.getElementById('order').selectedOptions[0].textContent"
    head(browser, "auroc").click()
    assert browser.execute_script(told) == "▾ auroc"
    choose(browser, "order", "parameters")
    assert browser.execute_script(told) == "▴ parameters"


def test_names_too_long_for_their_column_keep_their_ends(
    opened: Open, record: Callable[..., Record]
) -> None:
    name = "openclip-vit-large-patch14-336-datacomp-xl-s13b-b90k"
    browser = opened([record(name), record("toy")])
    cut, whole = browser.find_elements("css selector", "#rows .more")
    assert cut.accessible_name == name
    first, last = cut.find_elements("css selector", "span")
    assert last.text == "3b-b90k"
    assert browser.execute_script(
        "return arguments[0].scrollWidth > arguments[0].clientWidth", first
    )
    assert last.rect["x"] + last.rect["width"] <= cut.rect["x"] + cut.rect["width"] + 1
    assert [one.text for one in whole.find_elements("css selector", "span")] == ["toy"]


def test_the_link_is_copied_or_told(opened: Open, full: list[Record]) -> None:
    browser = opened(full)
    browser.find_element("id", "complete").click()
    browser.execute_script("navigator.clipboard.writeText = () => Promise.reject(new Error('no'))")
    browser.find_element("id", "link").click()
    assert status(browser) == (
        f"The address of this page is the link to this view: {browser.current_url}"
    )
    assert browser.current_url.endswith("#complete=1")
    browser.execute_script(
        "navigator.clipboard.writeText = async (text) => { window.copied = text; }"
    )
    browser.find_element("id", "link").click()
    assert status(browser) == "The link to this view was copied."
    assert browser.execute_script("return window.copied") == browser.current_url


def test_only_what_is_in_sight_is_in_the_document(opened: Open, many: list[Record]) -> None:
    browser = opened(many)
    assert len(shown(browser)) < 60
    assert browser.find_element("id", "table").get_attribute("aria-rowcount") == "302"
    browser.execute_script("document.getElementById('scroll').scrollTop = 1e6; drawRows()")
    assert shown(browser)[-1] == "model-000"
    browser.execute_script("dispatchEvent(new Event('beforeprint'))")
    assert len(shown(browser)) == 300
    browser.execute_script("drawRows()")  # as scrolling does, which may still be under way
    assert len(shown(browser)) == 300
    browser.execute_script("dispatchEvent(new Event('afterprint'))")
    assert len(shown(browser)) < 60


def test_print_leaves_the_controls_out_and_cuts_nothing(opened: Open, many: list[Record]) -> None:
    browser = opened(many)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        assert not browser.find_element("id", "csv").is_displayed()
        assert not browser.find_element("id", "search").is_displayed()
        style = "return getComputedStyle(document.getElementById('scroll'))[arguments[0]]"
        assert browser.execute_script(style, "maxHeight") == "none"
        assert browser.execute_script(style, "overflowY") == "visible"
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    browser.execute_script("drawRows(true); dispatchEvent(new Event('afterprint'))")
    assert len(shown(browser)) < 60


def test_a_tie_is_a_shared_rank(opened: Open, record: Callable[..., Record]) -> None:
    from support.made_records import make_twins

    scores = {"a": 0.9, "b": 0.9, "c": 0.5}
    records = [record(name, metrics={"tau_d": judged(tau)}) for name, tau in scores.items()]
    browser = opened([*records, *make_twins(0.3, 0.31, 0.32, 0.3, 0.31)])
    assert shown(browser) == ["a", "b", "c"]
    assert text(browser, "#rows .rank") == ["rank\n1–2", "rank\n1–2", "rank\n3"]


def test_arrow_keys_walk_through_all_rows(opened: Open, many: list[Record]) -> None:
    browser = opened(many)
    browser.execute_script("document.querySelector('#rows .more').focus()")
    for _ in range(70):
        browser.switch_to.active_element.send_keys("\ue015")  # down
    assert browser.switch_to.active_element.text == "model-229"
    browser.switch_to.active_element.send_keys("\ue013")  # up
    assert browser.switch_to.active_element.text == "model-230"


def test_the_head_and_the_first_column_stay(opened: Open, many: list[Record]) -> None:
    browser = opened(many)
    browser.set_window_size(500, 700)
    try:
        browser.execute_script(
            "const s = document.getElementById('scroll'); s.scrollTop = 900; s.scrollLeft = 90"
        )
        inside = """
            const box = document.getElementById('scroll').getBoundingClientRect();
            const at = (q) => document.querySelector(q).getBoundingClientRect();
            return [at('#head th.name').top - box.top, at('#rows th.name').left - box.left];
        """
        assert browser.execute_script(inside) == [pytest.approx(1, abs=1), pytest.approx(1, abs=1)]
    finally:
        browser.set_window_size(1300, 900)


def test_the_sheet_shows_the_card_the_runs_and_the_command(
    opened: Open, full: list[Record]
) -> None:
    browser = opened(full)
    number = shown(browser).index("clip-b32 / radial-linear")
    browser.find_elements("css selector", "#rows .more")[number].send_keys("\ue007")
    sheet = browser.find_element("id", "sheet").text
    for fact in ("0123456789abcdef0123456789abcdef01234567", "float32", "0 of 3,132", "e" * 64,
                 "hiereval 0.1.0, Python 3.11.2, cpu, torch 2.15",
                 "fitted on 18,770 chains of hierarcaps-train",
                 "ordering, seed 1: tau_d .960 [.950, .970]",
                 "3 seeds ±.010 · +.060 over untrained",
                 "ordering, seed 2, tiers shuffled: tau_d .700 [.690, .710]"):  # fmt: skip
        assert fact in sheet
    assert text(browser, "#sheet pre") == [
        "hiereval run --model hf-clip:org/clip-b32 --revision "
        "0123456789abcdef0123456789abcdef01234567 --probes radial-linear --probe-args rank=16 "
        "--train-data hierarcaps-train --dataset hierarcaps:test --tasks ordering"
    ]
    browser.find_element("id", "close").click()
    assert not browser.find_element("id", "sheet").is_displayed()


def test_two_models_stand_side_by_side(opened: Open, full: list[Record]) -> None:
    browser = opened(full)
    browser.find_elements("css selector", "#rows .more")[1].click()
    browser.find_element("id", "beside").send_keys("toy")
    name = browser.execute_script("return section(0).name(state.open)")
    assert text(browser, "#sheet h2") == [f"{name} beside toy"]
    assert text(browser, "#sheet .cards section > h3") == [name, "toy"]
    assert text(browser, "#sheet .two thead th")[-1] == "difference"
    assert "beside=" in address(browser)


def test_pictures_and_their_words(opened: Open, full: list[Record]) -> None:
    browser = opened(full)
    browser.execute_script("drawPictures(section(0))")
    label = "return document.getElementById(arguments[0]).getAttribute('aria-label')"
    assert (
        browser.execute_script(label, "trade") == "retrieval recall against ordering tau_d, 3 rows"
    )
    assert browser.execute_script(label, "cost") == (
        "ordering tau_d against parameters, 4 rows; best for their cost: clip-b32 / radial-linear"
    )
    labels = browser.execute_script(
        "return [...document.querySelectorAll('#panels svg')].map((one) => one.ariaLabel)"
    )
    assert "siglip-base: mean radius tier 1 .900, tier 2 .970, tier 3 1.030, tier 4 1.080" in labels
    choose(browser, "cost-x", "images a second")
    assert "x=images_s" in address(browser)
    assert browser.execute_script(label, "cost").startswith(
        "ordering tau_d against images a second, 4 rows; best for their cost: "
    )


def test_reported_figures_stand_apart(opened: Open, full: list[Record]) -> None:
    browser = opened(full)
    assert len(browser.find_elements("css selector", "#reported tbody tr")) == 6
    choose(browser, "f-status", "measured (4)")
    assert not browser.find_element("id", "reported").is_displayed()
    choose(browser, "f-status", "reported (6)")
    assert browser.find_element("id", "reported").is_displayed()
    assert status(browser) == "0 of 4 rows shown."


def test_dark_is_remembered(opened: Open, full: list[Record]) -> None:
    browser = opened(full)
    background = "return getComputedStyle(document.body).backgroundColor"
    light = browser.execute_script(background)
    browser.find_element("id", "theme").click()
    dark = browser.execute_script(background)
    assert (light, dark) == ("rgb(252, 251, 249)", "rgb(20, 22, 26)")
    browser.refresh()
    assert browser.execute_script(background) == dark
    browser.find_element("id", "theme").click()


def test_nothing_is_loaded_and_nothing_complains(opened: Open, full: list[Record]) -> None:
    import json

    browser = opened(full)
    head(browser, "auroc").click()
    browser.find_element("css selector", "#rows .more").click()
    assert browser.get_log("browser") == []
    assert browser.execute_script("return performance.getEntriesByType('resource')") == []
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [
        event["params"]["request"]["url"]
        for event in events
        if event["method"] == "Network.requestWillBeSent"
    ]
    assert asked
    assert all(url.startswith(("file://", "data:", "about:")) for url in asked)


def test_the_csv_holds_what_is_shown(opened: Open, full: list[Record]) -> None:
    import csv
    import time

    browser = opened(full)
    browser.find_element("id", "search").send_keys("siglip")
    browser.find_element("id", "csv").click()
    file = browser.folder / "hiereval-board.csv"
    for _ in range(100):
        if file.exists():
            break
        time.sleep(0.1)
    (row,) = csv.DictReader(file.read_text("utf-8").splitlines())
    assert (row["dataset"], row["split"]) == ("hierarcaps", "test")
    assert (row["label"], row["params"], row["images_s"]) == ("siglip-base", "151000000", "90")
    assert (row["ordering length_matched_auroc"], row["ordering length_matched_auroc low"]) == (
        "0.64",
        "0.63",
    )


def test_hostile_rows_do_nothing(
    opened: Open,
    hostile_everywhere: Callable[[str], Record],
    hostile_strings: tuple[str, ...],
) -> None:
    browser = opened([hostile_everywhere(one) for one in hostile_strings])
    count = browser.execute_script("return data.sections.length")
    assert count > len(hostile_strings) // 2
    for number in range(count):
        browser.execute_script(
            "openDataset(fresh(arguments[0])); drawPictures(section(arguments[0]));"
            "show(0); document.getElementById('sheet').close(); table()", number
        )  # fmt: skip
    assert browser.get_log("browser") == []
    assert browser.execute_script("return document.scripts.length") == 2
    assert (
        browser.execute_script(
            "return document.querySelectorAll('img, iframe, object, main a').length"
        )
        == 0
    )


def test_the_page_is_never_wider_than_a_telephone(
    opened: Open, full: list[Record], long_record: Record
) -> None:
    browser = opened([*full, long_record])
    size = {"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    top = "return document.querySelector('#table').getBoundingClientRect().top"
    try:
        assert browser.execute_script(top) < 500  # the table comes first
        browser.execute_script(
            "for (const d of document.querySelectorAll('details')) d.open = true"
        )
        width = browser.execute_script("return document.documentElement.scrollWidth")
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert width <= 390


def test_axe_finds_nothing(
    opened: Open, axe: Callable[[Any], list[Any]], full: list[Record]
) -> None:
    browser = opened(full)
    browser.execute_script("for (const d of document.querySelectorAll('details')) d.open = true")
    assert axe(browser) == []
    browser.find_element("css selector", "#rows .more").click()
    assert axe(browser) == []
