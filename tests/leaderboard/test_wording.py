from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hiereval.leaderboard.wording import clean, number, plural, public, shortened, signed, span


@given(st.text())
@settings(derandomize=True, deadline=None)
def test_cleaned_text_is_one_short_printable_line(text: str) -> None:
    line = clean(text, 20)
    assert len(line) <= 20
    assert all(unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Zl", "Zp") for c in line)
    assert clean(line, 20) == line


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("a\nb\tc", "a b c"),
        ("\x1b[31mred", "[31mred"),
        ("\u202eabc\u200b", "abc"),
        ("e" + "\u0301" * 9, "e\u0301\u0301"),
        ("x" * 200, "x" * 119 + "…"),
        ("x" * 120, "x" * 120),
        (None, "None"),
    ],
)
def test_clean(given: object, shown: str) -> None:
    assert clean(given) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.9129, ".913"), (-0.5, "-.500"), (0.0, ".000"), (-0.0001, ".000"), (1.0, "1.000"),
        (0.99999, "1.000"), (6.25, "6.250"), (12.34, "12.3"), (4096.4, "4,096"), (2e9, "2.00e+09"),
        (float("inf"), "n/a"),
    ],
)  # fmt: skip
def test_number(value: float, shown: str) -> None:
    assert number(value) == shown


def test_signs_and_plurals() -> None:
    assert [signed(0.12), signed(-0.12), signed(-1e-9)] == ["+.120", "-.120", "+.000"]
    assert [span(0.9, 0.95), span(-0.1, 0.2)] == [".900–.950", "-.100 to .200"]
    assert [plural(1, "run"), plural(2000, "run")] == ["1 run", "2,000 runs"]


@pytest.mark.parametrize(
    ("checkpoint", "shown"),
    [
        ("openai/clip-vit-base-patch32", "openai/clip-vit-base-patch32"),
        ("ViT-B-32/laion2b", "ViT-B-32/laion2b"),
        ("words", "words"),
        ("/home/ann/models/mine", "mine"),
        ("/home/ann/models/mine/", "mine"),
        ("~/mine", "mine"),
        ("./mine", "mine"),
        ("a/b/mine", "mine"),
        ("C:\\models\\mine", "mine"),
        ("/", ""),
    ],
)
def test_the_folders_of_a_machine_stay_private(checkpoint: str, shown: str) -> None:
    assert public(checkpoint) == shown


def test_a_long_name_keeps_both_ends() -> None:
    assert shortened("clip / mean-root", 16) == "clip / mean-root"
    assert shortened("all-MiniLM-L6-v2 / radial-linear", 27) == "all-MiniLM-L6…radial-linear"
    assert shortened("abcdef", 2) == "a…"
    assert shortened("abcdef", 1) == "…"
