"""The board's page at size: how long it takes to write, how large it is, how it answers.

    python benchmarks/board.py [--models 10000] [--metrics 20] [--keep FOLDER]

Writes a folder of made-up results (four tasks, random-init twins, controls), runs `hiereval
leaderboard` on it in a process of its own, and opens the page in Chromium (selenium, chromium and
chromedriver must be installed): time until the first view stands, to sort, to filter, to open a
row's sheet, elements, and, where AXE_CORE names axe.min.js of npm's axe-core, what axe finds wrong.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import random
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from clocks import command

from hiereval import seals

TASKS = ("ordering", "entailment", "retrieval", "taxonomy")
ARCHITECTURES = 8
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-quic",
    "--disable-background-networking", "--disable-dev-shm-usage", "--window-size=1400,1000",
)  # fmt: skip
READY = "return document.querySelectorAll('#rows tr.entry').length"
SORT = """
    const button = document.querySelectorAll('#head .sort')[arguments[0]];
    const start = performance.now();
    button.click(); document.body.offsetHeight; return performance.now() - start;
"""
FILTER = """
    const field = document.getElementById('search'), start = performance.now();
    field.value = arguments[0]; field.dispatchEvent(new Event('input'));
    document.body.offsetHeight; return performance.now() - start;
"""
SHEET = """
    const start = performance.now();
    document.querySelector('#rows .more').click();
    document.body.offsetHeight; return performance.now() - start;
"""
AXE = """
    const done = arguments[arguments.length - 1];
    axe.run(document).then((result) => done(result.violations.length));
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, default=10_000)
    parser.add_argument("--metrics", type=int, default=20)
    parser.add_argument("--keep", type=Path, help="write results and page here")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = chosen.keep or Path(scratch)
        results = folder / "results"
        results.mkdir(parents=True, exist_ok=True)
        write_results(results / "all.jsonl", chosen.models, chosen.metrics)
        page = folder / "board.html"
        report = {**written(results, page), **sizes(page)}
        if shutil.which("chromium") and shutil.which("chromedriver"):
            report |= in_browser(page)
    for name, value in report.items():
        print(f"{name:28} {value:12,.3f}" if isinstance(value, float) else f"{name:28} {value:12,}")


def write_results(file: Path, models: int, metrics: int, seed: int = 0) -> None:
    """Write a record for each model and task, five twins of each architecture, and a control."""
    rng = random.Random(seed)
    with file.open("wb") as out:
        for record in _records(rng, models, metrics):
            out.write(seals.sealed(json.dumps(record)))


def _records(rng: random.Random, models: int, metrics: int) -> Iterator[dict[str, Any]]:
    names = [f"metric_{i}" for i in range(metrics)]
    share = -(-metrics // len(TASKS))
    for number in range(models):
        skill = rng.gauss(0.7, 0.08)
        model = _model(rng, f"org-{number % 97}/clip-{rng.choice('abcdefgh')}{number}", number)
        for i, task in enumerate(TASKS):
            scores = [_metric(rng, skill) for _ in names[i * share : (i + 1) * share]]
            yield _record(rng, model, task, dict(zip(names[i * share :], scores, strict=False)))
    for twin in range(5 * ARCHITECTURES):
        model = _model(rng, f"architecture-{twin % ARCHITECTURES}", twin) | {
            "random_init": twin // ARCHITECTURES
        }
        for i, task in enumerate(TASKS):
            scores = [
                _metric(rng, rng.gauss(0.3, 0.01)) for _ in names[i * share : (i + 1) * share]
            ]
            yield _record(rng, model, task, dict(zip(names[i * share :], scores, strict=False)))


def _metric(rng: random.Random, skill: float) -> dict[str, Any]:
    value = min(0.999, max(0.0, rng.gauss(skill, 0.05)))
    null = {"mean": 0.5, "sd": 0.02, "low": 0.46, "high": 0.54, "p": 0.001, "draws": 999}
    return {
        "value": value, "ci_low": value - rng.gauss(0.012, 0.0005),
        "ci_high": value + rng.gauss(0.012, 0.0005), "ci_level": 0.95, "n": 1000,
        "undefined_reason": None, "higher_is_better": True, "range": [0.0, 1.0], "chance": 0.0,
        "role": "headline", "nulls": {"free": null, "within-length": null},
        "ceilings": {"words": 0.02}, "caution": None,
    }  # fmt: skip


def _model(rng: random.Random, name: str, number: int) -> dict[str, Any]:
    def digits(n: int) -> str:
        return f"{rng.getrandbits(4 * n):0{n}x}"

    return {
        "name": name, "adapter": "hf-clip", "adapter_version": 1, "checkpoint": name,
        "revision": digits(40), "fingerprint": digits(64), "weights_sha256": digits(64),
        "config_sha256": "abcdef12"[number % ARCHITECTURES] * 64,
        "preprocess_fingerprint": "c" * 64,
        "tokenizer_fingerprint": "d" * 64, "embed_dim": rng.choice((512, 768, 1024)),
        "n_params": rng.choice((86, 149, 151, 428, 986)) * 1_000_000 + rng.randrange(1000) * 1000,
        "dtype": "float32", "context_length": 77, "geometry": "sphere", "curvature": None,
        "root_text": "", "random_init": None, "trust_remote_code": False,
    }  # fmt: skip


def _record(
    rng: random.Random, model: dict[str, Any], task: str, metrics: dict[str, Any]
) -> dict[str, Any]:
    radii = sorted(rng.uniform(0.8, 1.2) for _ in range(4))
    curve = [{"tier": i, "mean": r, "low_quartile": r - 0.04, "high_quartile": r + 0.04}
             for i, r in enumerate(radii, 1)]  # fmt: skip
    return {
        "schema_version": 1, "run_id": "r", "record_id": f"{rng.getrandbits(64):016x}",
        "timestamp": f"2026-11-{rng.randrange(1, 28):02d}T00:00:00Z",
        "status": "ok", "reason": None,
        "model": model, "task": {"name": task, "version": 1, "parameters": {}},
        "dataset": {"name": "hierarcaps", "split": "test", "revision": "ba22b891",
                    "sha256": "e" * 64, "image_source": "bundled", "n_texts": 3132,
                    "n_images": 1000, "n_truncated": 0},
        "probe": {"name": "empty-root", "parameters": {}},
        "metrics": metrics,
        "environment": {"hiereval": "0.1.0", "python": "3.11.2", "packages": {"torch": "2.15"},
                        "device": "cuda", "driver": None, "git_commit": None, "git_dirty": None,
                        "plugins": []},
        "timings": {"encode_s": 1.0, "fit_s": 0.0, "score_s": 0.1,
                    "images_per_s": rng.uniform(90, 3000), "texts_per_s": rng.uniform(900, 9000)},
        "batch_size": 32, "bootstrap_resamples": 1000, "seed": 0, "limit": None,
        "summary": {"radius_by_tier": curve} if task == "ordering" else {},
    }  # fmt: skip


def written(results: Path, page: Path) -> dict[str, float]:
    """Write the page as a user does; seconds of the clock and of the processor, and memory."""
    clock, processors, memory = command("leaderboard", results, "--out", page)
    return {
        "written, s": clock,
        "of which processor, s": processors,
        "peak memory, MB": memory / 2**20,
    }


def sizes(page: Path) -> dict[str, float]:
    """Return the page's size as it is and as a server sends it."""
    content = page.read_bytes()
    return {"file, MB": len(content) / 1e6, "gzip, MB": len(gzip.compress(content)) / 1e6}


def in_browser(page: Path) -> dict[str, float]:
    """Open the page from disk and use it."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = str(shutil.which("chromium"))
    for flag in FLAGS:
        options.add_argument(flag)
    service = webdriver.ChromeService(executable_path=str(shutil.which("chromedriver")))
    with webdriver.Chrome(options=options, service=service) as browser:
        browser.get("about:blank")
        start = time.perf_counter()
        browser.get(page.as_uri())
        assert browser.execute_script(READY)
        loaded = time.perf_counter() - start
        elements = browser.execute_script("return document.getElementsByTagName('*').length")
        heads = browser.execute_script("return document.querySelectorAll('#head .sort').length")
        sorts = [browser.execute_script(SORT, i % heads) for i in range(8)]
        filters = [browser.execute_script(FILTER, word) for word in ("clip-a", "org-3", "7", "")]
        wrong = {"axe findings, page": axe(browser)} if "AXE_CORE" in os.environ else {}
        sheet = browser.execute_script(SHEET)
        wrong |= {"axe findings, sheet": axe(browser)} if wrong else {}
    return {"loaded, s": loaded, "slowest sort, ms": max(sorts), "slowest filter, ms": max(filters),
            "sheet, ms": sheet, "elements": elements, **wrong}  # fmt: skip


def axe(browser: Any) -> int:
    """Return how many of axe-core's rules what is shown breaks."""
    browser.set_script_timeout(300)
    browser.execute_script(Path(os.environ["AXE_CORE"]).read_text("utf-8"))
    return browser.execute_async_script(AXE)


if __name__ == "__main__":
    main()
