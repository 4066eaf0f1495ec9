"""Logs of what generative models answered to the questions of a taxonomy, in three formats.

The authors' results (JSON, or JSONL of the same rows), inspect_ai's log as JSON, and lmms-eval's
samples. Each line or sample is one question in the latter two, one image in the first.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hiereval.datasets.text_file import read_text
from hiereval.errors import HierevalError, shorten
from hiereval.seals import parsed

INSPECT_LOG = 2  # the version of inspect_ai's log format that is read
RESULT = re.compile(r"(ground_truth|predicted)_level(\d+)")
LETTER = re.compile(r"\(?([A-Z])(?:[).:,\s]|$)")
ANSWER = re.compile(r"ANSWER\s*:\s*\(?([A-Z])\b", re.IGNORECASE)


@dataclass(frozen=True)
class Result:
    """One image as the authors' results have it: level -> name, null, or no such key."""

    image: str
    truth: Mapping[int, str | None]
    answers: Mapping[int, str | None]


@dataclass(frozen=True)
class Answer:
    """One question: which (image and level, or its number among all), and what was answered."""

    where: str  # in the file
    image: str | None
    level: int | None
    number: int | None
    target: str | None  # what the log says is right: a letter or a name
    text: str


@dataclass(frozen=True)
class Log:
    """A file of answers: `results` of the authors' format, or `answers` of another."""

    sha256: str
    results: tuple[Result, ...] = field(default=())
    answers: tuple[Answer, ...] = field(default=())


def read(path: Path) -> Log:
    """Read a log, whichever of the formats it has; raises HierevalError naming what is wrong."""
    if path.suffix == ".eval":
        raise HierevalError(
            f"The log {str(path)!r} must be JSON: 'inspect log convert {path.name} --to json "
            "--output-dir .' makes it."
        )
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    given = _parse(path)
    if isinstance(given, dict) and "eval" in given:
        return Log(sha256, answers=tuple(_inspect(path, given)))
    rows = given if isinstance(given, list) else [given]
    first = rows[0] if rows else None
    if isinstance(first, dict) and "doc_id" in first:
        return Log(sha256, answers=tuple(_lmms_eval(path, rows)))
    if isinstance(first, dict) and any(RESULT.fullmatch(key) for key in first):
        return Log(sha256, results=_results(path, rows))
    found = ", ".join(list(first)[:8]) if isinstance(first, dict) else type(first).__name__
    raise HierevalError(
        f"The log {str(path)!r} must be the authors' results (ground_truth_level1, "
        "predicted_level1, ...), an inspect_ai log (JSON) or lmms-eval samples (JSONL); it has "
        f"{found}."
    )


def _parse(path: Path) -> Any:
    """Return a JSON file's value, or the list of a JSONL file's."""
    text = read_text(path)
    try:
        return parsed(text)
    except ValueError:
        rows = []
        for number, line in enumerate(text.split("\n"), start=1):
            try:
                rows += [parsed(line)] if line.strip() else []
            except ValueError as error:
                raise HierevalError(f"{path}:{number}: the line must be JSON: {error}.") from error
        return rows


# --- the authors' results ------------------------------------------------------------------------


def _results(path: Path, rows: Sequence[Any]) -> tuple[Result, ...]:
    results, problems = [], []
    for number, row in enumerate(rows, start=1):
        try:
            results.append(_result(row))
        except ValueError as error:
            problems.append(f"{path}: row {number}: {error}.")
    if problems:
        raise HierevalError(shorten(problems))
    return tuple(results)


def _result(row: Any) -> Result:
    if not isinstance(row, dict) or not isinstance(row.get("image"), str):
        raise ValueError("image: must be the name of an image")
    levels: dict[str, dict[int, str | None]] = {"ground_truth": {}, "predicted": {}}
    for key, value in row.items():
        part = RESULT.fullmatch(key)
        if part and not (value is None or isinstance(value, str)):
            raise ValueError(f"{key}: must be a name or null, not {json.dumps(value)[:40]}")
        if part:
            levels[part[1]][int(part[2])] = value
    return Result(row["image"], levels["ground_truth"], levels["predicted"])


def path_of(levels: Mapping[int, str | None], first: int) -> tuple[str, ...]:
    """Return a row's path as the released code extracts it.

    Levels count from `first` until the first absent one. A null is left out, so what follows moves
    up one place.

    >>> path_of({1: "life", 2: None, 3: "bird", 5: "robin"}, 1)
    ('life', 'bird')
    """
    path, level = [], first
    while level in levels:
        name = levels[level]
        path += [] if name is None else [name]
        level += 1
    return tuple(path)


# --- other harnesses -----------------------------------------------------------------------------


def _inspect(path: Path, log: Mapping[str, Any]) -> Iterator[Answer]:
    if log.get("version") != INSPECT_LOG:
        raise HierevalError(
            f"The log {str(path)!r} must be of inspect_ai's log version {INSPECT_LOG}, it is of "
            f"version {log.get('version')!r}."
        )
    if log.get("status") != "success":
        raise HierevalError(
            f"The log {str(path)!r} must be of a run that succeeded, its status is "
            f"{log.get('status')!r}."
        )
    for number, sample in enumerate(log.get("samples") or (), start=1):
        where = f"{path}: sample {sample.get('id', number)!r}"
        about, choices = sample.get("metadata") or {}, sample.get("choices")
        image, level = about.get("image"), about.get("level")
        if not isinstance(image, str) or not isinstance(level, int):
            raise HierevalError(f"{where}: metadata must have the image and the level (a number).")
        if sample.get("epoch", 1) != 1:
            raise HierevalError(f"{where}: the log must be of one epoch.")
        scores = (sample.get("scores") or {}).values()
        texts = [score.get("answer") for score in scores if score.get("answer")]
        text = texts[0] if texts else (sample.get("output") or {}).get("completion", "")
        if isinstance(choices, list):
            text = named(str(text), [str(choice) for choice in choices])
        yield Answer(where, image, level, None, None, str(text))


def _lmms_eval(path: Path, rows: Sequence[Any]) -> Iterator[Answer]:
    for number, row in enumerate(rows, start=1):
        where = f"{path}:{number}"
        answers = row.get("filtered_resps", row.get("resps"))
        while isinstance(answers, list) and len(answers) == 1:
            answers = answers[0]
        whole = isinstance(row.get("doc_id"), int) and "target" in row
        if not whole or not isinstance(answers, str):
            raise HierevalError(
                f"{where}: the line must have doc_id, target and filtered_resps (one text), as "
                f"lmms-eval 0.7 writes them; it has {', '.join(row)}."
            )
        yield Answer(where, None, None, row["doc_id"], str(row["target"]), answers)


def named(text: str, options: Sequence[str]) -> str:
    """Return the option that a text answers by name or letter; the text itself if it is none.

    >>> [named(t, ["cat", "dog"]) for t in ("B", "(a) cat", "Dog", "ANSWER: B", "no idea")]
    ['dog', 'cat', 'dog', 'dog', 'no idea']
    """
    text = text.strip()
    for option in options:
        if option.lower() in (text.lower(), text.lower().rstrip(".")):
            return option
    letters = [*ANSWER.findall(text)[-1:], *LETTER.findall(text.upper()[:4])[:1]]
    places = [ord(letter.upper()) - ord("A") for letter in letters]
    return next((options[place] for place in places if place < len(options)), text)
