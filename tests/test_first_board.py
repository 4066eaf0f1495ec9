"""A first board: what its models cost, counted anew where that is quick, and its scripts rehearsed.

The rehearsal is the real thing in small: the scripts, a board's repository with a remote, models
in the layouts that the hub has; killed in the middle, begun again, then given to SLURM.
"""

from __future__ import annotations

import csv
import importlib
from pathlib import Path
from typing import Any

import pytest

from hiereval.many import listed
from hiereval.models import known

FOLDER = Path(__file__).parents[1] / "examples" / "first-board"
MODELS = FOLDER / "models.txt"
PAGE = Path(__file__).parents[1] / "docs" / "first-board.md"


@pytest.fixture
def cost(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module("cost")


@pytest.fixture
def count(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module("count")


# --- the models ----------------------------------------------------------------------------------


def test_each_line_says_what_its_model_is_estimated_to_cost(cost: Any) -> None:
    lines = [line for line in MODELS.read_text("utf-8").splitlines() if line[:1] not in ("", "#")]
    assert lines == [found.line(model) for model, found in cost.costs().items()]


def test_the_page_says_what_all_of_them_cost(cost: Any) -> None:
    assert cost.totals(cost.costs()) in PAGE.read_text("utf-8")


def test_the_file_parses_as_models_once_each_without_code_of_others() -> None:
    models = [fields["model"] for fields in listed(MODELS)]
    assert len(models) == len(set(models)) == 66
    assert all("--trust-remote-code" not in known()[model].needs for model in models)


def test_each_family_rises_in_size() -> None:
    families = MODELS.read_text("utf-8").split("\n\n# ")[1:]
    sizes = [
        [known()[line.split()[0]].parameters or 0 for line in family.splitlines()[1:] if line]
        for family in families
    ]
    assert sizes == [sorted(family) for family in sizes]


# --- what they cost ------------------------------------------------------------------------------


def gflop(tokens: int, width: int, layers: int, hidden: int) -> float:
    """Return a transformer's operations on one input: projections, attention, perceptron."""
    projections = tokens * (4 * width**2 + 2 * width * hidden)
    return 2 * layers * (projections + 2 * tokens**2 * width) / 1e9


def test_counts_are_those_of_the_formula_of_a_transformer(count: Any) -> None:
    found = count.counted("clip-l14")
    image = gflop(257, 1024, 24, 4096) + 2 * (256 * 3 * 14 * 14 * 1024 + 1024 * 768) / 1e9
    assert found.image_gflop == pytest.approx(image, rel=1e-12)
    text = gflop(12, 768, 12, 3072) + 2 * 768 * 768 / 1e9
    assert found.text_gflop == pytest.approx(text, rel=1e-12)
    assert (found.side, found.dimensions) == (224, 768)


def test_memory_is_of_the_tensors_that_live_at_once(count: Any) -> None:
    import torch

    module = torch.nn.Linear(1000, 1000, device="meta")
    given = torch.empty(1000, 1000, device="meta")

    def call() -> torch.Tensor:
        doubled = given * 2  # 4 MB
        moved = doubled + module.weight  # 8 MB: the weights are not counted
        del doubled
        return torch.cat([moved, moved]) @ moved[:, :1]  # 4 and 8 MB, and 2,000 numbers

    with torch.no_grad():
        assert count._live_mb(call, module) == pytest.approx(12.008)


@pytest.mark.parametrize("model", ["clip-b32", "siglip", "openclip-b32-laion2b", "meru-b16"])
def test_the_file_of_counts_is_what_is_counted(count: Any, model: str) -> None:
    with count.COUNTS.open(encoding="utf-8", newline="") as file:
        (row,) = (row for row in csv.DictReader(file) if row["model"] == model)
    found = vars(count.counted(model))
    assert {k: f"{v:.4g}" if isinstance(v, float) else str(v) for k, v in found.items()} == row


def test_the_page_shows_counts_beside_what_was_measured(
    count: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(count, "MEASURED", {"CLIP ViT-B/32": "clip-b32"})
    count.check()
    printed = capsys.readouterr().out
    assert "| CLIP ViT-B/32 | 8.8 | 91 | 2.06 | 84 | 0.8 | 1.8 |" in printed
    page = PAGE.read_text("utf-8")
    assert all(line in page for line in printed.splitlines())


def test_an_architecture_with_other_parameters_than_the_card_states_is_refused(
    count: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    card = replace(known()["clip-b32"], parameters=1)
    monkeypatch.setattr(count, "known", lambda: {"clip-b32": card})
    message = "^clip-b32: the architecture has 151,277,313 parameters, its card says 1$"
    with pytest.raises(SystemExit, match=message):
        count.counted("clip-b32")


def test_a_cost_is_its_formula(cost: Any) -> None:
    found = cost.costs()["clip-b32"]
    operations = 2 * 1000 * 8.818e9 + 6 * 24_987 * 0.91e9
    assert found.gpu_s == pytest.approx(operations / 9.75e12, rel=1e-9)
    assert found.memory_gb == pytest.approx(4 * 0.151277313 + 0.256 * 3.06, rel=1e-9)
    vectors = 4 * 512 * (6 * 24_987 + 2 * 1000)
    assert found.disk_gb == pytest.approx(0.605109252 + vectors / 1e9 + 0.11, rel=1e-9)
    assert found.rest_s == pytest.approx(82 + 6 * 16e-9 * 151_277_313, rel=1e-9)


def test_what_was_not_counted_has_no_cost(cost: Any) -> None:
    unknown = [model for model, found in cost.costs().items() if found.gpu_s is None]
    assert unknown == ["qwen3-vl-embedding-2b", "gme-2b"]
    assert cost.costs()["gme-2b"].line("gme-2b") == (
        "gme-2b                  #  2209 M       ? GB    ? px     ? GB     ? +    ? min; mteb"
    )
