"""What a terminal may get of a text from outside."""

from __future__ import annotations

import pytest

from hiereval.errors import HierevalError, Skipped
from hiereval.printable import message
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
