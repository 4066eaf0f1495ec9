"""Records of whole boards, and strings from strangers."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.made_records import judged, make_control, make_record, make_trained, metric

from hiereval.leaderboard import page
from hiereval.leaderboard.album import Album
from hiereval.leaderboard.board import build
from hiereval.records import Record

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--window-size=1300,900",
)  # fmt: skip


def tiers(*means: float) -> list[dict[str, float]]:
    """`summary["radius_by_tier"]` with quartiles .05 to each side."""
    return [
        {"tier": i, "mean": m, "low_quartile": m - 0.05, "high_quartile": m + 0.05}
        for i, m in enumerate(means, 1)
    ]


SCORES = {
    "ordering": {"tau_d": 0.9, "exact_order": 0.6, "length_matched_auroc": 0.62,
                 "adversarial_accuracy": 0.3},
    "entailment": {"triplet_accuracy_released": 0.85, "triplet_accuracy_documented": 0.8,
                   "auroc": 0.88},
    "image-entailment": {"image_auroc": 0.85, "image_average_precision": 0.7},
    "retrieval": {"precision": 0.15, "recall": 0.36, "f1": 0.2, "rank_f1": 0.21},
}  # fmt: skip


@pytest.fixture(scope="session")
def record() -> Callable[..., Record]:
    return make_record


@pytest.fixture(scope="session")
def control() -> Callable[..., Record]:
    return make_control


@pytest.fixture(scope="session")
def trained() -> Callable[..., Record]:
    return make_trained


@pytest.fixture(scope="session")
def full() -> list[Record]:
    """Records of a whole board: two models, controls, a twin, a trained probe, gaps."""
    records = []
    for name, shift in (("siglip-base", 0.02), ("clip-b32", 0.0), ("toy", -0.1)):
        values = {task: {n: judged(v + shift) for n, v in scores.items()}
                  for task, scores in SCORES.items()}  # fmt: skip
        values["ordering"]["tau_d"]["ceilings"] = {"words": 0.913}
        predictions = metric(6.3, 0.2, higher_is_better=None, range=None)
        values["retrieval"]["mean_predictions"] = predictions
        curve = {"radius_by_tier": tiers(0.9, 0.97, 1.03, 1.06 + shift)}
        records += [
            make_record(name, task, metrics, summary=curve if task == "ordering" else {})
            for task, metrics in values.items()
        ]
    for kind, tau in (("words", 0.913), ("characters", 0.871), ("constant", None)):
        records += [
            make_control(kind, task="ordering", metrics={"tau_d": tau, "exact_order": tau,
                         "length_matched_auroc": tau and 0.5, "adversarial_accuracy": tau and 0.0},
                         summary={"radius_by_tier": tiers(2, 4, 7, 11)} if tau else {}),
            make_control(kind, task="retrieval", metrics={}, status="skipped",
                         reason="the model encodes no images"),
        ]  # fmt: skip
    records += [
        make_record("clip-b32", "ordering", {"tau_d": 0.8, "exact_order": 0.2,
                    "length_matched_auroc": 0.5, "adversarial_accuracy": 0.02},
                    model__random_init=0, model__fingerprint="7" * 64, model__revision=None,
                    summary={"radius_by_tier": tiers(0.4, 0.42, 0.43, 0.44)}),
        make_record(limit=10),
    ]  # fmt: skip
    records += [
        make_record("clip-b32", task, dict.fromkeys(SCORES[task], 0.05), model__random_init=0,
                    model__fingerprint="7" * 64, model__revision=None)
        for task in ("entailment", "image-entailment", "retrieval")
    ]  # fmt: skip
    records += [
        make_trained(judged(v, ceilings={"words": 0.913}), s, model="clip-b32")
        for s, v in enumerate((0.95, 0.96, 0.97))
    ]
    records += [make_trained(0.7, s, shuffled=True, model="clip-b32") for s in range(3)]
    return records


HOSTILE = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "a | b | c",
    '=HYPERLINK("http://evil.example","x")',
    "+1+1",
    "@SUM(A1)",
    "-2+3",
    "[click](javascript:alert(1))",
    "javascript:alert(1)",
    "https://evil.example/x",
    "\u202egnp.exe\u202c",
    "\x1b[31mred\x1b[0m\x07",
    "line\nbreak\r\nand\ttab",
    r"\input{/etc/passwd} $x^2$ 50% #1 ~ & _a_ `b`",
    "z" + "\u0301" * 60,
    "{{ 7 * 7 }}{% raw %}",
    "</script></style></textarea><!--",
    "=" * 200,
)


@pytest.fixture(params=HOSTILE, ids=range(len(HOSTILE)))
def hostile(request: pytest.FixtureRequest) -> str:
    """A string from a stranger who means harm."""
    return request.param


@pytest.fixture(scope="session")
def hostile_everywhere() -> Callable[[str], Record]:
    """A record whose every free string is the given one."""

    def make(text: str) -> Record:
        return make_record(
            text[:200],
            text[:200],
            {text: 0.5, text + "2": None},
            model__adapter=text[:200],
            model__checkpoint=text,
            model__revision=text,
            model__fingerprint=text,
            model__dtype=text,
            dataset__name=text[:200],
            dataset__split=text,
            dataset__sha256=text,
            dataset__revision=text,
            dataset__image_source=text,
            probe__name=text[:200],
            probe__parameters={text: text},
            task__parameters={text: text},
            environment__hiereval=text,
            environment__device=text,
            summary={"radius_by_tier": tiers(0.1, 0.2)},
        )

    return make


@pytest.fixture(scope="session")
def long_record() -> Record:
    """A record, past validation, with names of 10,000 characters."""
    record = make_record("x", metrics={"m" * 10_000: 0.5}, model__checkpoint="c" * 10_000)
    model = record.model.model_copy(update={"name": "n" * 10_000})
    return record.model_copy(update={"model": model})


@pytest.fixture(scope="session")
def hostile_strings() -> tuple[str, ...]:
    return HOSTILE


@pytest.fixture(scope="session")
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

    def open_page(
        records: list[Record], address: str = "", album: Album | None = None, **choices: Any
    ) -> Any:
        file = tmp_path / "board.html"
        board = build(records, every_metric=True, **choices)
        file.write_text(page.written(board, album=album), "utf-8")
        for log in ("browser", "performance"):
            browser.get_log(log)
        browser.get("about:blank")
        browser.get(file.as_uri() + address)
        return browser

    return open_page


@pytest.fixture
def axe() -> Callable[[Any], list[Any]]:
    """Return what axe-core finds wrong in the page that a browser shows."""
    script = os.environ.get("AXE_CORE", "")
    if not script:
        pytest.skip("AXE_CORE does not name axe.min.js of npm's axe-core")
    run = """
        const done = arguments[arguments.length - 1];
        const told = (found) => [found.id, found.nodes.map((node) => node.html)];
        axe.run(document).then((result) => done(result.violations.map(told)));
    """

    def findings(browser: Any) -> list[Any]:
        browser.execute_script(Path(script).read_text("utf-8"))
        return browser.execute_async_script(run)

    return findings
