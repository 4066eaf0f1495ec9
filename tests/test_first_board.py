"""The models file of a first board: every line runs by its alias and states what its card does."""

from __future__ import annotations

from pathlib import Path

from hiereval.many import listed
from hiereval.models import known

MODELS = Path(__file__).parents[1] / "examples" / "first-board" / "models.txt"


def _stated(alias: str) -> str:
    """Return the line of a model, from its card: millions of parameters, gigabytes, needs."""
    card = known()[alias]
    assert card.parameters is not None
    size = f"{card.parameters / 1e6:.0f} M, {4 * card.parameters / 1e9:.1f} GB"
    return f"{alias}  # {'; '.join([size, *card.needs])}"


def test_each_line_is_an_alias_with_the_size_and_needs_of_its_card() -> None:
    lines = [line for line in MODELS.read_text("utf-8").splitlines() if line[:1] not in ("", "#")]
    assert lines == [_stated(line.split()[0]) for line in lines]


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
