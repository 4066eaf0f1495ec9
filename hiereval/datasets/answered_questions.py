"""Answers of generative models laid beside the questions of a taxonomy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np

from hiereval.datasets import answer_logs
from hiereval.datasets.answer_logs import Answer, Log, Result, named, path_of
from hiereval.datasets.consistency import Questions, assemble
from hiereval.datasets.question_files import Row
from hiereval.errors import HierevalError
from hiereval.hooks import Answers
from hiereval.types import Dataset


@dataclass(frozen=True, kw_only=True, eq=False)
class AnsweredQuestions(Questions):
    """Questions, and the paths that were asked for and answered; a row may have no answer."""

    asked: tuple[tuple[str, ...], ...]  # as scored: nulls are left out
    answers: tuple[tuple[str, ...], ...]


def read_answers(path: Path, truth: Dataset) -> Answers:
    """Return a log's answers beside these questions.

    A dataset without questions (`hierarchical-consistency:food101`) is scored on the truth that
    the authors' results hold themselves. Raises HierevalError for a log of other questions.
    """
    if not isinstance(truth, Questions):
        raise HierevalError(f"The dataset {truth.name!r} must hold questions at each level.")
    log = answer_logs.read(path)
    if not len(truth.truth):
        return _own(path, log, truth)
    rows = _numbers(truth)
    asked = np.argwhere(truth.truth >= 0).tolist()  # row by row, level by level
    answers: dict[int, dict[int, str | None]] = {}
    unknown: list[str] = []
    for result in log.results:
        row = rows.get(result.image, rows.get(Path(result.image).name))
        if row is None:
            unknown.append(result.image)
            continue
        _refuse_other_truth(path, truth, row, result)
        answers[row] = dict(result.answers)
    for answer in log.answers:
        place = _place(truth, rows, asked, answer)
        if place is None:
            unknown.append(f"{answer.image} (level {answer.level})")
            continue
        row, level = place
        options = _options(truth, row, level)
        answers.setdefault(row, {})[level] = named(answer.text, options)
    if not answers:
        raise HierevalError(
            f"The log {str(path)!r} must be of images of {truth.name}:{truth.split} such as "
            f"{truth.images[0].name!r}; none of its {len(unknown):,} answers is"
            + (f", the first is to {unknown[0]!r}." if unknown else ".")
        )
    names = truth.names()
    right = [tuple(truth.options[i] for i in row if i >= 0) for row in truth.truth.tolist()]
    paths = [path_of(answers.get(row, {}), truth.first) for row in range(len(names))]
    outside = tuple(
        f"{names[row]} (level {level}): {given}"
        for row, levels in sorted(answers.items())
        for level, given in sorted(levels.items())
        if given is not None and _is_outside(truth, row, level, given)
    )
    return Answers(
        answered(truth, right, paths),
        log.sha256,
        unknown=tuple(unknown),
        missing=tuple(names[row] for row in range(len(names)) if not paths[row]),
        left_out=True,
        outside=outside,
    )


def answered(
    data: Questions, asked: Sequence[tuple[str, ...]], answers: Sequence[tuple[str, ...]]
) -> AnsweredQuestions:
    """Return the questions with their answers."""
    own = {field.name: getattr(data, field.name) for field in fields(Questions)}
    return AnsweredQuestions(**own, asked=tuple(asked), answers=tuple(answers))


def _own(path: Path, log: Log, truth: Questions) -> Answers:
    """Return results on the truth in them."""
    if not log.results:
        raise HierevalError(
            f"The questions of {str(path)!r} must be known: name their wrong options as well, "
            f"--dataset {truth.name}:{truth.split}-similar."
        )
    asked = [path_of(result.truth, truth.first) for result in log.results]
    rows = [
        Row(result.image, nodes, ((),) * len(nodes))
        for result, nodes in zip(log.results, asked, strict=True)
    ]
    data = assemble(rows, truth.split, truth.first, {}, Path("images"))
    given = [path_of(result.answers, truth.first) for result in log.results]
    names = data.names()
    missing = tuple(name for name, nodes in zip(names, given, strict=True) if not nodes)
    whole = answered(replace(data, paths=truth.paths), asked, given)
    return Answers(whole, log.sha256, missing=missing, left_out=True)


def _numbers(data: Questions) -> dict[str, int]:
    """Return row by image, under its name and, where that tells rows apart, its file name."""
    found: dict[str, int] = {}
    twice: set[str] = set()
    for row, image in enumerate(data.row_image.tolist()):
        name = data.images[image].name
        for key in {name, Path(name).name}:
            twice |= {key} & found.keys()
            found[key] = row
    return {key: row for key, row in found.items() if key not in twice}


def _refuse_other_truth(path: Path, data: Questions, row: int, result: Result) -> None:
    ours = [data.options[i].lower() for i in data.truth[row].tolist() if i >= 0]
    theirs = [name.lower() for name in path_of(result.truth, data.first)]
    if theirs != ours:
        raise HierevalError(
            f"{path}: the truth of {result.image!r} must be {' > '.join(ours)} as in "
            f"{data.name}:{data.split}, it is {' > '.join(theirs) or 'not given'}."
        )


def _place(
    data: Questions, rows: dict[str, int], asked: list[list[int]], answer: Answer
) -> tuple[int, int] | None:
    """Return the row and level that an answer is to, or None where these data do not ask it."""
    if answer.number is not None:
        if answer.number >= len(asked):
            raise HierevalError(
                f"{answer.where}: the doc_id {answer.number} must be below {len(asked):,}, the "
                f"number of questions of {data.name}:{data.split}."
            )
        row, depth = asked[answer.number]
        right = data.options[data.truth[row, depth]]
        options = _options(data, row, depth + data.first)
        if answer.target is None or named(answer.target, options).lower() != right.lower():
            raise HierevalError(
                f"{answer.where}: the target {answer.target!r} must be {right!r}, the right answer "
                f"to question {answer.number} of {data.name}:{data.split}."
            )
        return row, depth + data.first
    image = answer.image or ""
    row = rows.get(image, rows.get(Path(image).name, -1))
    level = answer.level or 0
    known = row >= 0 and 0 <= level - data.first < int((data.truth[row] >= 0).sum())
    return (row, level) if known else None


def _options(data: Questions, row: int, level: int) -> list[str]:
    return [data.options[i] for i in data.choices[row, level - data.first].tolist() if i >= 0]


def _is_outside(data: Questions, row: int, level: int, given: str) -> bool:
    if not 0 <= level - data.first < data.choices.shape[1]:
        return False
    options = _options(data, row, level)
    return bool(options) and given.lower() not in {option.lower() for option in options}
