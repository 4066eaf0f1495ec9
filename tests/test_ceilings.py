"""The table of ceilings in docs/ is what the public captions give."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

import pytest

from hiereval.places import Places

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "ceilings.md"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("ceilings", ROOT / "benchmarks" / "ceilings.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.data
def test_the_page_holds_what_the_command_prints(script: ModuleType, hierarcaps_root: Path) -> None:
    shown = PAGE.read_text().split("ceilings.py -->\n")[1].split("<!-- end")[0]
    printed, missing = script.table(Places.of(data_dir=os.environ["HIEREVAL_DATA"], offline=True))
    if missing:
        assert set(printed.splitlines()) < set(shown.splitlines())
    else:
        assert printed == shown


def test_data_that_is_not_there_leaves_rows_out(script: ModuleType, tmp_path: Path) -> None:
    printed, missing = script.table(Places.of(data_dir=tmp_path, offline=True))
    assert printed.count("\n") == 2
    assert len(missing) == len(script.PUBLISHED)


def test_a_row_says_whether_the_published_value_beats_the_blind_one(script: ModuleType) -> None:
    from hiereval.tasks.himo import HiMo

    himo_k = HiMo.metrics[0]
    words = {"words": 0.9920, "minus-words": -0.9920}
    assert script.row("himo", "himo-docci", himo_k, words) == (
        "himo, himo-docci", "`himo_k`", "words", "0.9920", "0.88", "HiMo-CLIP ViT-L/14", "**no**",
    )  # fmt: skip
    assert script.row("himo", "himo-docci", himo_k, {"words": 0.5})[-1] == "yes"
    assert script.row("himo", "other", himo_k, words)[-3:] == ("–", "–", "–")
