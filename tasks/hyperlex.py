"""HyperLex: does the space grade lexical entailment as people do ("to what degree is X a Y")?

Vulić, Gerz, Kiela, Hill, Korhonen: HyperLex: A Large-Scale Evaluation of Graded Lexical
Entailment. Computational Linguistics 43(4), 2017, arXiv 1608.02117. 2,616 word pairs (2,163 nouns,
453 verbs) rated from 0 to 6. The data carries no licence: it is read from the user's folder.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Generator, Tensor

from hiereval import blind, nulls
from hiereval.angles import Angles
from hiereval.datasets.text_file import read_text
from hiereval.errors import HierevalError
from hiereval.spearman import Spearman
from hiereval.types import DataOptions, Dataset, Metric, Modality, Null, NullKind, Scores, Space

COLUMNS = ["WORD1", "WORD2", "POS", "TYPE", "AVG_SCORE"]
SUBSETS = ("all", "nouns", "verbs")
SCORES = {"angle": "minus the exterior angle", "radius": "the difference of the radii"}


# --- data ----------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, eq=False)
class WordPairs(Dataset):
    """Rated pairs "X is a type of Y"; `specific` (X) and `general` (Y) point into `texts`."""

    specific: np.ndarray  # [p] int64
    general: np.ndarray  # [p] int64
    rating: np.ndarray  # [p] float64, 0 (not at all) to 6
    pos: tuple[str, ...]  # [p] N or V
    relation: tuple[str, ...]  # [p] hyp-1, cohyp, syn, ...

    def head(self, n: int) -> Self:
        """Return the first n pairs, with all texts."""
        if n >= len(self.rating):
            return self
        return replace(
            self,
            sha256=hashlib.sha256(f"{self.sha256} first {n}".encode()).hexdigest(),
            specific=self.specific[:n],
            general=self.general[:n],
            rating=self.rating[:n],
            pos=self.pos[:n],
            relation=self.relation[:n],
        )


def hyperlex(options: DataOptions) -> WordPairs:
    """HyperLex, from hyperlex/hyperlex-all.txt in the data root."""
    if options.split not in (None, "all"):
        raise HierevalError(f"The split {options.split!r} of hyperlex must be 'all'.")
    path = options.root / "hyperlex" / "hyperlex-all.txt"
    if not path.is_file():
        raise HierevalError(
            f"HyperLex must stand at '{path}': take hyperlex-all.txt from hyperlex-data.zip at "
            "https://github.com/cambridgeltl/hyperlex; --data-dir names another data root."
        )
    return read(path)


def read(path: Path) -> WordPairs:
    """Read the published format: a header, then space-separated columns, one pair a line.

    Raises HierevalError with the file, the line and the column that is wrong.
    """
    rows = list(_rows(path))
    if not rows:
        raise HierevalError(f"{path}: the file must hold at least one word pair.")
    texts = tuple(dict.fromkeys(word for row in rows for word in row[:2]))
    index = {text: i for i, text in enumerate(texts)}
    first, second, pos, relation, rating = zip(*rows, strict=True)
    return WordPairs(
        name="hyperlex",
        split="all",
        revision=None,
        sha256=hashlib.sha256(repr(rows).encode()).hexdigest(),
        image_source="",
        texts=texts,
        specific=np.array([index[word] for word in first]),
        general=np.array([index[word] for word in second]),
        rating=np.array(rating, dtype=np.float64),
        pos=pos,
        relation=relation,
    )


def _rows(path: Path) -> Iterator[tuple[str, str, str, str, float]]:
    lines = read_text(path).splitlines()
    if not lines or lines[0].split()[: len(COLUMNS)] != COLUMNS:
        raise HierevalError(f"{path}:1: the header must begin with '{' '.join(COLUMNS)}'.")
    for number, line in enumerate(lines[1:], start=2):
        fields = line.split()
        if not fields:
            continue
        if len(fields) < len(COLUMNS):
            raise HierevalError(
                f"{path}:{number}: the line must have at least {len(COLUMNS)} columns, "
                f"found {len(fields)}."
            )
        word1, word2, pos, relation, score = fields[: len(COLUMNS)]
        if pos not in ("N", "V"):
            raise HierevalError(f"{path}:{number}: the POS {pos!r} must be N or V.")
        try:
            rating = float(score)
        except ValueError:
            rating = float("nan")
        if not 0.0 <= rating <= 6.0:
            raise HierevalError(
                f"{path}:{number}: the AVG_SCORE {score!r} must be a number from 0 to 6."
            )
        yield word1, word2, pos, relation, rating


# --- task ----------------------------------------------------------------------------------------


def _metric(score: str, subset: str) -> Metric:
    return Metric(
        name=f"spearman_{score}_{subset}",
        description=f"Spearman correlation of {SCORES[score]} with people's ratings ({subset})",
        statistic=Spearman(score, "rating", where=None if subset == "all" else subset),
        range=(-1.0, 1.0),
        chance=0.0,
    )


@dataclass(frozen=True)
class HyperLex:
    """Graded lexical entailment: rank correlation with people's ratings of word pairs."""

    name: ClassVar[str] = "hyperlex"
    version: ClassVar[int] = 1
    dataset_type: ClassVar[type[Dataset]] = WordPairs
    datasets: ClassVar[tuple[str, ...]] = ("hyperlex",)
    modalities: ClassVar[frozenset[Modality]] = frozenset({"text"})
    metrics: ClassVar[tuple[Metric, ...]] = tuple(
        _metric(score, subset) for score in SCORES for subset in SUBSETS
    )

    def unfit(self, dataset: WordPairs) -> str | None:
        """Return why this dataset cannot be scored, or None."""
        return None if len(dataset.rating) > 1 else "a rank correlation needs two pairs"

    def blind(self, dataset: WordPairs) -> Mapping[str, Scores]:
        """Return what characters and their like score as radii, the words' own being one each."""
        return blind.scores(self, dataset, blind.text_spaces(dataset.texts))

    def _nulls(
        self, space: Space, dataset: WordPairs, known: Mapping[str, Tensor]
    ) -> dict[NullKind, Null]:
        """Vectors dealt out to all words, and among words of as many characters."""
        specific, general = torch.from_numpy(dataset.specific), torch.from_numpy(dataset.general)
        angles, radius = Angles(space, space.text, space.text), space.radius.double()
        fixed = {key: known[key][None] for key in ("rating", "nouns", "verbs")}

        def items(dealt: Tensor) -> dict[str, Tensor]:
            x, y = dealt[:, specific], dealt[:, general]
            angle = angles.of(y, x).double().masked_fill(specific == general, torch.nan)
            return {"angle": -angle, "radius": radius[x] - radius[y], **fixed}

        characters = torch.tensor([len(text) for text in dataset.texts])
        groups: dict[NullKind, Tensor] = {
            "free": torch.zeros_like(characters),
            "within-length": characters,
        }
        return nulls.reassigned(self.metrics, groups, items, size=10 * len(specific))

    def score(self, space: Space, dataset: WordPairs, generator: Generator) -> Scores:
        """Score each pair (X, Y) by -Xi(Y, X) and by d(X) - d(Y); both are large if X is a Y.

        The angle of a pair whose words have the same vector is undefined (NaN): it is left out.
        """
        specific = torch.from_numpy(dataset.specific)
        general = torch.from_numpy(dataset.general)
        text, radius = space.text, space.radius.double()
        items = {
            "angle": -space.exterior_angle(text[general], text[specific]).double(),
            "radius": radius[specific] - radius[general],
            "rating": torch.from_numpy(dataset.rating),
            "nouns": torch.tensor([pos == "N" for pos in dataset.pos]),
            "verbs": torch.tensor([pos == "V" for pos in dataset.pos]),
        }
        return Scores(
            ids=[
                f"{dataset.texts[x]} {dataset.texts[y]} {pos}"
                for x, y, pos in zip(dataset.specific, dataset.general, dataset.pos, strict=True)
            ],
            items=items,
            undefined=_undefined(items),
            nulls=self._nulls(space, dataset, items),
            details=lambda i: _details(dataset, i),
        )


def _undefined(items: Mapping[str, Tensor]) -> dict[str, str]:
    """Return why a correlation does not exist: no pairs, or one side does not vary."""
    reasons = {}
    for metric in HyperLex.metrics:
        _, score, subset = metric.name.split("_")
        keep = Spearman(score, "rating", None if subset == "all" else subset).defined(items)
        if subset != "all" and not items[subset].any():
            reasons[metric.name] = f"there are no {subset}"
        elif keep.sum() < 2:
            reasons[metric.name] = f"{SCORES[score]} is defined for {int(keep.sum())} pairs"
        elif len(items[score][keep].unique()) == 1:
            reasons[metric.name] = f"{SCORES[score]} is the same for all pairs"
        elif len(items["rating"][keep].unique()) == 1:
            reasons[metric.name] = "all ratings are equal"
    return reasons


def _details(dataset: WordPairs, i: int) -> dict[str, Any]:
    return {
        "specific": dataset.texts[dataset.specific[i]],
        "general": dataset.texts[dataset.general[i]],
        "pos": dataset.pos[i],
        "relation": dataset.relation[i],
    }
