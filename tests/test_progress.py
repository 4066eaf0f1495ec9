"""Progress off a terminal: a plain line now and then."""

from __future__ import annotations

import pytest

from hiereval.progress import Bars


def test_a_plain_line_every_so_often(capsys: pytest.CaptureFixture[str]) -> None:
    with Bars(plain=True, every=0.0) as bars:
        bars("toy", "images", 0, 2_000)
        bars("toy", "loading", 0, 0)
    assert capsys.readouterr().err.splitlines() == ["toy: images 0 of 2,000", "toy: loading"]


def test_nothing_is_said_of_quick_work(capsys: pytest.CaptureFixture[str]) -> None:
    with Bars(plain=True) as bars:
        bars("toy", "images", 0, 2_000)
    assert capsys.readouterr().err == ""
