from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from support.typed import exit_code


def test_the_command_trains_and_says_how_to_measure(
    model: Callable[[str], str],
    chains_csv: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "tuned"
    flags = ["--model", model("openclip"), "--data", str(chains_csv), "--out", str(out)]
    assert exit_code("finetune", *flags, "--weight_decay", "0", "--lr", "1e-4") == 0
    shown = capsys.readouterr()
    assert shown.out == (
        f"Written: {out}: model/, card.json, losses.jsonl, curves.png\n"
        f"Measure it: hiereval run --model openclip:local-dir:{out}/model\n"
    )
    assert shown.err.splitlines()[-1].startswith("step 4 of 4  total ")
    assert exit_code("finetune", *flags) == 2
    assert capsys.readouterr().err == (
        f"error: The output folder {str(out)!r} must be new or empty. --resume continues it, or "
        "name another folder.\n"
    )
