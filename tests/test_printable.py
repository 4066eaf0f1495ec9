"""What a terminal may get of a text from outside."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest

from hiereval.errors import HierevalError, Skipped
from hiereval.printable import Printable, message
from hiereval.progress import Bars
from hiereval.types import ModelId

HOSTILE = "a\x1b]52;c;ZXZpbA==\x07b\x9b2J\u202ec\u200bd\r\ud800e"


@pytest.mark.parametrize("error", [HierevalError, Skipped])
def test_an_error_is_printable_whatever_it_quotes(error: type[HierevalError]) -> None:
    assert str(error(f"The name {HOSTILE}\n  is bad.")) == (
        "The name a]52;c;ZXZpbA==b2Jcd e\n  is bad."
    )


def test_a_message_keeps_its_words() -> None:
    plain = "The model 'é 鳥 🐦' must be one.\n  two   spaces"
    assert message(plain) == plain


def test_a_models_name_is_one_printable_line() -> None:
    model = ModelId(adapter="x", name=f"m {HOSTILE}\nn" + "o" * 500, checkpoint="c")
    assert model.name.startswith("m a]52;c;ZXZpbA==b2Jcd e nooo")
    assert len(model.name) == 200


def test_what_is_logged_is_printable_with_its_traceback() -> None:
    try:
        raise ValueError(HOSTILE)
    except ValueError:
        trace = (ValueError, sys.exc_info()[1], None)
    record = logging.LogRecord("any", 30, "", 0, "of %s", (HOSTILE,), trace)  # type: ignore[arg-type]
    assert Printable().format(record) == (
        "of a]52;c;ZXZpbA==b2Jcd e\nValueError: a]52;c;ZXZpbA==b2Jcd e"
    )


@pytest.mark.parametrize(("flags", "debug"), [([], ""), (["--debug"], "seen\n")])
def test_the_command_line_logs_printable_lines_once(flags: list[str], debug: str) -> None:
    code = (
        "import logging, sys; from hiereval.cli import main\n"
        "try: main([*sys.argv[1:], '--version'])\n"
        "except SystemExit: pass\n"
        "logging.getLogger('hiereval.x').debug('seen')\n"
        "logging.getLogger('hiereval.x').warning('a\\x1b[2Jb')\n"
        "logging.warning('of a library \\x1b]0;c\\x07')\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, *flags], capture_output=True, text=True, check=True
    )
    assert ended.stderr == f"{debug}a[2Jb\nof a library ]0;c\n"


def test_progress_is_printable(capsys: pytest.CaptureFixture[str]) -> None:
    with Bars(plain=True, every=0.0) as bars:
        bars(HOSTILE, HOSTILE, 1, 2)
    assert capsys.readouterr().err == "a]52;c;ZXZpbA==b2Jcd e: a]52;c;ZXZpbA==b2Jcd e 1 of 2\n"
