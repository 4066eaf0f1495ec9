"""Exports to the Hugging Face Hub: `.eval_results` entries, and the older model-index."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hiereval.errors import HierevalError
from hiereval.leaderboard.board import Board, Section
from hiereval.leaderboard.cells import Cell
from hiereval.leaderboard.columns import Column
from hiereval.leaderboard.rows import USUAL_PROBE, Row, row_key
from hiereval.leaderboard.wording import clean, number


@dataclass(frozen=True)
class HubDataset:
    """Where a dataset stands on the Hub: "org/name", and a commit where one is named."""

    id: str
    revision: str | None = None


def hub_dataset(given: str) -> tuple[str, HubDataset]:
    """Read "name=org/repository" or "name=org/repository@commit"."""
    match = re.fullmatch(r"([^=]+)=([\w.-]+/[\w.-]+)(?:@([\w.-]+))?", given)
    if match is None:
        raise HierevalError(
            f"The hub dataset {given!r} must be name=org/repository, or with @commit, "
            "for example hierarcaps=you/hierarcaps."
        )
    return match[1], HubDataset(match[2], match[3])


def eval_results(
    board: Board, datasets: Mapping[str, HubDataset], source_url: str | None = None
) -> dict[str, str]:
    """Return `<model>/.eval_results/hiereval.yaml` for each measured model, and each dataset
    repository's `eval.yaml`; one scalar for each dataset, task and metric of which more is better.
    """
    from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml

    _refuse_two_contents(board, datasets)
    names: dict[str, Names] = {}
    folders = Names()
    entries: dict[str, list[EvalResultEntry]] = {}
    tasks: dict[str, dict[str, dict[str, Any]]] = {}
    for section, row, column, cell in scored(board):
        if not column.higher_is_better:  # the Hub sorts every task with the largest on top
            continue
        if section.name not in datasets:
            raise HierevalError(
                f"The dataset {section.name!r} must be given its repository on the Hub: "
                f"--hub-dataset {section.name}=org/repository."
            )
        dataset = datasets[section.name]
        task_id = names.setdefault(dataset.id, Names()).of(
            identifier(column, row), *measurement(section, row, column), column.metric
        )
        entry = EvalResultEntry(
            dataset_id=dataset.id,
            task_id=task_id,
            value=cell.value,
            dataset_revision=dataset.revision,
            date=row.newest.timestamp.isoformat(),
            source_url=source_url,
            source_name="hiereval" if source_url else None,
            notes=_notes(section, row, column, cell),
        )
        entries.setdefault(folders.of(folder(row, board), *row_key(row.records[0])[:2]), []).append(
            entry
        )
        tasks.setdefault(dataset.id, {})[task_id] = {
            "id": task_id, "config": "default", "split": section.split,
        }  # fmt: skip
    written = {
        f"{name}/.eval_results/hiereval.yaml": _yaml(eval_result_entries_to_yaml(own))
        for name, own in entries.items()
    }
    for id, known in tasks.items():
        document = {
            "name": id.partition("/")[2],
            "description": "Visual-semantic hierarchy in image-text embedding spaces",
            "evaluation_framework": "hiereval",
            "tasks": list(known.values()),
        }
        written[f"datasets/{slug(id)}/eval.yaml"] = _yaml(document)
    return written


def _refuse_two_contents(board: Board, datasets: Mapping[str, HubDataset]) -> None:
    """A repository at one commit holds one content of a split: numbers of two would be mixed."""
    seen: dict[tuple[str, str], Section] = {}
    for section in (section for section in board.sections if section.measured):
        if section.name not in datasets:
            continue
        other = seen.setdefault((section.name, section.split), section)
        if other is not section:
            raise HierevalError(
                f"The dataset {section.name!r} must be of one content to stand for "
                f"{datasets[section.name].id}; the results hold {other.title} and {section.title}. "
                "Export them from folders of their own."
            )


def model_index(
    board: Board, datasets: Mapping[str, HubDataset], source_url: str | None = None
) -> dict[str, str]:
    """Return `<model>/model-index.yaml` for each measured model: front matter for its card."""
    from huggingface_hub import EvalResult
    from huggingface_hub.repocard_data import eval_results_to_model_index

    _refuse_two_contents(board, datasets)
    names, contents, folders = Names(), Names(), Names()
    results: dict[str, tuple[str, list[EvalResult]]] = {}
    for section, row, column, cell in scored(board):
        dataset = datasets.get(section.name)
        result = EvalResult(
            task_type=slug(column.group),
            task_name=column.group,
            dataset_type=dataset.id if dataset else clean(section.name),
            dataset_name=section.title,
            dataset_config=contents.of("default", *content(section)[2:]),
            dataset_split=clean(section.split),
            dataset_revision=dataset.revision if dataset else section.revision,
            metric_type=names.of(
                identifier(column, row), *measurement(section, row, column)[4:], column.metric
            ),
            metric_name=clean(column.metric),
            metric_value=cell.value,
            metric_args={
                "probe": row.probe, "ci_low": cell.low, "ci_high": cell.high, "n": cell.n,
            },
            source_name="hiereval" if source_url else None,
            source_url=source_url,
        )  # fmt: skip
        home = folders.of(folder(row, board), *row_key(row.records[0])[:2])
        results.setdefault(home, (row.label, []))[1].append(result)
    return {
        f"{name}/model-index.yaml": _yaml({"model-index": eval_results_to_model_index(label, own)})
        for name, (label, own) in results.items()
    }


class Names:
    """Names of files and entries: one a thing, however much alike their spellings come out."""

    def __init__(self) -> None:
        self._taken: dict[str, str] = {}

    def of(self, wanted: str, *thing: object) -> str:
        """Return the name wanted, with a hash of the thing where another thing has it."""
        key = json.dumps(thing)
        if self._taken.setdefault(wanted.lower(), key) == key:
            return wanted
        return self.of(f"{wanted}-{hashlib.sha256(key.encode()).hexdigest()[:8]}", *thing)


def content(section: Section) -> tuple[str, ...]:
    """Return what makes a dataset that dataset, to the byte."""
    return section.name, section.split, section.sha256, section.image_source


def measurement(section: Section, row: Row, column: Column) -> tuple[object, ...]:
    """Return all that numbers of one name must share, but for the model."""
    return *content(section), *column.key, *row_key(row.records[0])[2:]


def scored(board: Board) -> Iterator[tuple[Section, Row, Column, Cell]]:
    """Yield every number of the measured models; controls are not models and stay here."""
    for section in board.sections:
        for row in section.measured:
            for column, cell in zip(section.columns, row.cells, strict=True):
                if cell is not None and cell.value is not None:
                    yield section, row, column, cell


def identifier(column: Column, row: Row) -> str:
    """Return a task's id: ordering_tau_d, with the probe where it is not the usual one."""
    parts = [slug(column.group), slug(column.metric)]
    if row.probe != USUAL_PROBE:
        parts.append(slug(row.probe))
    return "_".join(parts)


def slug(text: str) -> str:
    """Return text as a safe name of a file: letters, digits, dots, dashes, underscores."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", clean(text)).strip("-.") or "unnamed"


def folder(row: Row, board: Board) -> str:
    """Return a model's folder; different weights never share one."""
    name = slug(row.model.name)
    namesakes = {
        other.model.fingerprint
        for section in board.sections
        for other in section.measured
        if slug(other.model.name) == name
    }
    return name if len(namesakes) == 1 else f"{name}-{slug(row.model.fingerprint)[:8]}"


def _notes(section: Section, row: Row, column: Column, cell: Cell) -> str:
    parts = [f"probe {row.probe}", f"task version {column.version}", f"n {cell.n}"]
    if cell.low is not None and cell.high is not None:
        parts.append(f"interval {number(cell.low)} to {number(cell.high)}")
    if cell.seeds:
        parts.append(f"mean of {cell.seeds} seeds")
    version = clean(row.newest.environment.hiereval)
    return ", ".join([*parts, f"data sha256 {section.sha256[:12]}", f"hiereval {version}"])


def _yaml(document: Any) -> str:
    import yaml

    return yaml.safe_dump(document, sort_keys=False, allow_unicode=False)
