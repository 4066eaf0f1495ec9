"""A run says how much of the text was trained on, and scores what was not once more."""

from __future__ import annotations

import shutil
from importlib.resources import files
from pathlib import Path

import pytest

from hiereval import evaluate
from hiereval.lineage import Lineage, text_hashes
from hiereval.records import Record

KNOWN = [("circle", "red"), ("square", "blue"), ("heart", "green"), ("star", "gold")]
NEW = [("circle", "black"), ("square", "white"), ("heart", "grey"), ("star", "pink")]


def chains(path: Path, pairs: list[tuple[str, str]], negatives: bool) -> Path:
    lines = ["positive,negative"] if negatives else ["positive"]
    for i, (kind, colour) in enumerate(pairs):
        chain = f"shape => {kind} => {colour} {kind} => a {colour} {kind} above a star"
        other, another = pairs[i - 1]
        wrong = f"shape => {other} => {another} {other} => a {another} {other} above a star"
        lines.append(f"{chain},{wrong}" if negatives else chain)
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def scored(tmp_path: Path) -> Path:
    """Two chains that were trained on, four of which only tiers 1 and 2 were."""
    return chains(tmp_path / "scored.csv", [*KNOWN[:2], *NEW], negatives=False)


def run(
    tmp_path: Path, scored: Path, model: str, **fields: object
) -> dict[tuple[str, str], Record]:
    found = evaluate(model, datasets=[scored], tasks="ordering", resamples=20, controls="none",
                     cache_dir=tmp_path / "cache", **fields)  # fmt: skip
    return {(record.probe.name, record.dataset.split): record for record in found}


def test_a_trained_probe_is_scored_on_all_chains_and_on_unseen_strings(
    tmp_path: Path, scored: Path
) -> None:
    found = run(
        tmp_path, scored, "toy",
        probes=["empty-root", "learned-root"],
        probe_args={"epochs": 1, "seed": 0, "shuffled": "false"},
        train_data=chains(tmp_path / "train.csv", KNOWN, negatives=True),
    )  # fmt: skip
    splits = ("all", "all-unseen-tiers-3-4")
    assert set(found) == {(p, s) for p in ("empty-root", "learned-root") for s in splits}
    every, part = (found["learned-root", split] for split in splits)
    assert every.seen is not None
    assert part.seen is not None
    assert (every.seen.texts, every.seen.seen) == ([1, 4, 6, 6], [1, 4, 2, 2])
    assert (every.seen.chains, every.seen.unseen_chains) == (6, 0)
    assert (part.seen.texts, part.seen.seen) == ([4, 4], [0, 0])
    assert (part.seen.chains, part.seen.unseen_chains) == (4, 4)
    assert part.metrics["tau_d"].n == 4
    assert found["empty-root", "all"].seen is None
    assert found["empty-root", splits[1]].dataset.sha256 == part.dataset.sha256


def test_a_fine_tuned_checkpoint_says_what_it_was_trained_on(tmp_path: Path, scored: Path) -> None:
    folder = tmp_path / "tuned" / "model"
    shutil.copytree(str(files("hiereval.toy") / "checkpoint"), folder)
    texts = text_hashes(["shape", "circle", "square", "heart", "star", "red circle", "blue square"])
    Lineage(name="tuned", base="0", dataset="d", sha256="1", images=(), texts=texts).write(folder)
    found = run(tmp_path, scored, f"hf-clip:{folder}")
    assert list(found) == [("empty-root", "all"), ("empty-root", "all-unseen-tiers-3-4")]
    every, part = found.values()
    assert every.seen is not None
    assert every.seen.seen == [1, 4, 2, 0]
    assert part.metrics["tau_d"].n == 4
    assert run(tmp_path, scored, "toy")["empty-root", "all"].seen is None
