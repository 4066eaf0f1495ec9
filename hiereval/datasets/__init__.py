"""Datasets by registered name, or from a user's own file."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from hiereval import registry
from hiereval.errors import HierevalError, nearest
from hiereval.hooks import Limitable
from hiereval.types import Chains, DataOptions, Dataset

D = TypeVar("D", bound=Dataset)
SUFFIXES = (".csv", ".csv.gz", ".jsonl")


def open_dataset(spec: str, options: DataOptions) -> Dataset:
    """Return the dataset named `name` or `name:split`, or the chains in the file at a path.

    A registered name wins over a file of the same name (`./name` is the file). Raises
    HierevalError for unknown names with the nearest one, and for bad data with every problem.
    """
    name, _, split = spec.partition(":")
    known = registry.names("datasets")
    if name in known:
        loaded: Dataset = registry.load("datasets", name)(
            replace(options, split=split or options.split)
        )
        return loaded
    path = Path(spec).expanduser()
    if spec.lower().endswith(SUFFIXES) or path.exists() or os.sep in spec:
        from hiereval.datasets.chains import read

        return read(_checked(path, spec), options.places.cache)
    raise HierevalError(
        f"The dataset {spec!r} must be one of {', '.join(known)}, or the path of a "
        f".csv, .csv.gz or .jsonl file.{nearest(name, known)} "
        "'hiereval ls datasets' describes them."
    )


def head(dataset: D, n: int) -> D:
    """Return the dataset of the first n items alone (`--limit`), all of it if it has fewer.

    Raises HierevalError for n below 1 and for a kind of data that has no method `head(n)`.
    """
    from hiereval.datasets import chains

    if n < 1:
        raise HierevalError(f"The limit {n} must be at least 1.")
    if isinstance(dataset, Chains):
        return chains.head(dataset, n)
    if isinstance(dataset, Limitable):
        return dataset.head(n)  # type: ignore[return-value]  # of its own kind
    raise HierevalError(
        f"The limit {n} must be left out: {type(dataset).__name__} data cannot be cut."
    )


def _checked(path: Path, spec: str) -> Path:
    if path.is_dir():
        raise HierevalError(
            f"The dataset {spec!r} must be a file, and is a folder. HierarCaps under a folder is "
            "'--dataset hierarcaps --data-dir FOLDER'."
        )
    if not path.exists():
        siblings = sorted(p.name for p in path.parent.iterdir()) if path.parent.is_dir() else []
        raise HierevalError(
            f"The dataset file {spec!r} must exist.{nearest(path.name, siblings)} "
            "'hiereval ls datasets' lists the datasets with a name."
        )
    if not path.name.lower().endswith(SUFFIXES):
        raise HierevalError(f"The dataset file {spec!r} must end in .csv, .csv.gz or .jsonl.")
    return path
