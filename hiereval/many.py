"""Several models in one go: a file that lists them, and a sweep that survives one that fails."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hiereval import choice
from hiereval.datasets.text_file import read_text
from hiereval.errors import HierevalError, nearest
from hiereval.plan import RunConfig
from hiereval.results import Results
from hiereval.run import run
from hiereval.session import Session

log = logging.getLogger(__name__)

OWN = ("name", "model-args", "revision", "random-init")  # what a line may set for its model


def listed(path: Path) -> list[dict[str, Any]]:
    """Return the models of a file, a line each: the fields of RunConfig that the line sets.

    A line is `MODEL [--name N] [--model-args k=v,...] [--revision R] [--random-init SEED]`. Raises
    HierevalError that names the first bad line.
    """
    if not path.is_file():
        raise HierevalError(
            f"The models file {str(path)!r} must exist; a model itself is named with --model."
        )
    lines = read_text(path).splitlines()
    found = [
        _parsed(words, f"{path}:{number}")
        for number, line in enumerate(lines, 1)
        if (words := _words(line, f"{path}:{number}"))
    ]
    if not found:
        raise HierevalError(f"The models file {str(path)!r} must name at least one model.")
    return found


def _words(line: str, where: str) -> list[str]:
    try:
        return shlex.split(line, comments=True)
    except ValueError as error:
        raise HierevalError(f"{where}: {error}.") from error


def _parsed(words: list[str], where: str) -> dict[str, Any]:
    model, *rest = words
    fields: dict[str, Any] = {"model": model}
    flags, values = rest[0::2], rest[1::2]
    if len(flags) != len(values):
        raise HierevalError(f"{where}: the option {flags[-1]!r} must have a value.")
    for flag, value in zip(flags, values, strict=True):
        option = flag.removeprefix("--").replace("_", "-")
        if option not in OWN or not flag.startswith("--"):
            raise HierevalError(
                f"{where}: the option {flag!r} must be one of --{', --'.join(OWN)}."
                f"{nearest(option, OWN)}"
            )
        fields[option.replace("-", "_")] = _value(option, value, where)
    return fields


def _value(option: str, value: str, where: str) -> Any:
    if option == "model-args":
        try:
            return choice.pairs(value)
        except ValueError as error:
            raise HierevalError(f"{where}: --model-args {error}") from error
    if option == "random-init":
        if not value.isdecimal():
            raise HierevalError(f"{where}: --random-init {value!r} must be a whole number.")
        return int(value)
    return value


def run_all(
    session: Session, configs: Sequence[RunConfig]
) -> list[tuple[RunConfig, Results | HierevalError]]:
    """Run each model in turn; one that cannot be run gives its error and stops no other."""
    outcomes: list[tuple[RunConfig, Results | HierevalError]] = []
    for number, config in enumerate(configs, 1):
        if len(configs) > 1:
            session.report(config.model, f"{number} of {len(configs)}", number - 1, len(configs))
        try:
            outcomes.append((config, run(session, config)))
        except HierevalError as error:
            outcomes.append((config, error))
        except Exception as error:  # a plugin's own
            if len(configs) == 1:
                raise
            log.debug("%s failed", config.model, exc_info=True)
            outcomes.append((config, HierevalError(f"{type(error).__name__}: {error}")))
    return outcomes
