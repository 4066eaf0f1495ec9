"""Hierarchical consistency: is an image's whole path through a taxonomy answered right?

Tan, Qing, Gong: Vision LLMs Are Bad at Hierarchical Visual Understanding, and LLMs Are the
Bottleneck. 2025, arXiv 2505.24840, section 3. Embeddings answer by cosine with "a photo of a {}.",
generative models by their logs ('hiereval score'), scored alike. Not the HCA of ProTeCt (CVPR
2024), which asks at every node of the tree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import torch
from jaxtyping import Bool, Float, Float64, Int64
from torch import Generator, Tensor

from hiereval import blind
from hiereval.datasets.answered_questions import AnsweredQuestions, read_answers
from hiereval.datasets.consistency import Questions
from hiereval.degenerate import points_trouble, undefined
from hiereval.geometry import first_alike, tied
from hiereval.hooks import Answers
from hiereval.item_statistics import Mean
from hiereval.nulls import Dealt
from hiereval.types import Dataset, Metric, Modality, Null, Scores, Space

CHUNK = 1 << 24  # similarities held at once
HELD = 1 << 29  # similarities that the null may keep, 2 GiB
Paths = Sequence[Sequence[str]]  # names, general to specific


@dataclass(frozen=True)
class HierarchicalConsistency:
    """Four-choice questions level by level: whole paths right, right levels, right leaves."""

    name: ClassVar[str] = "hierarchical-consistency"
    version: ClassVar[int] = 1
    dataset_type: ClassVar[type[Dataset]] = Questions
    datasets: ClassVar[tuple[str, ...]] = ("hierarchical-consistency",)
    modalities: ClassVar[frozenset[Modality]] = frozenset({"text", "image"})
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("hca", "share of images right at all levels", Mean("hca"), role="headline"),
        Metric("leaf_accuracy", "share of images right at the last level", Mean("leaf_accuracy")),
        Metric("por", "share of right levels", Mean("por")),
        Metric("s_por", "share of levels before the first wrong one", Mean("s_por")),
        Metric("tor", "share of neighbouring levels that are both right", Mean("tor")),
    )

    def unfit(self, dataset: Questions) -> str | None:
        """Return why this dataset cannot be scored, or None."""
        if len(dataset.truth):
            return None
        return f"it has no questions: {dataset.name}:{dataset.split}-similar has"

    def score(self, space: Space, dataset: Questions, generator: Generator) -> Scores:
        """Answer each question by the option nearest to the image; equal ones: the first."""
        assert space.image is not None
        names = dataset.names()
        trouble = points_trouble(space, images=True)
        if trouble is not None:
            return Scores(names, {}, undefined(self.metrics, trouble))
        images, choices = torch.from_numpy(dataset.row_image), torch.from_numpy(dataset.choices)
        answers, alike = [], first_alike(space.text)
        for rows in torch.arange(len(images)).split(max(1, CHUNK // len(dataset.texts))):
            near = tied(space.similarity(space.image[images[rows]], space.text), alike)  # [m, t]
            answers.append(chosen(near.cpu(), torch.arange(len(rows)), choices[rows]))
        right, length = _right(dataset, torch.cat(answers))
        nulls: dict[Any, Null] = {}
        if len(space.image) * len(space.text) <= HELD:
            dealt = Dealt(
                self.metrics,
                groups=torch.zeros(len(space.image), dtype=torch.int64),
                items=_Reassigned(space, dataset),
                size=4 * choices.numel(),
            )
            nulls["images"] = Null(dealt, draws=1000 if len(images) <= 10_000 else 200)
        scores = self._scores(names, right, length, nulls=nulls)
        return _with_details(scores, dataset, torch.cat(answers))

    def read_answers(self, path: Path, truth: Dataset) -> Answers:
        """Return a log's answers beside the questions."""
        return replace(read_answers(path, truth), task=AnsweredConsistency())

    def answered(self, names: Sequence[str], truth: Paths, answers: Paths) -> Scores:
        """Score paths of answers, place by place, as the released code extracts them from a log.

        An empty path of answers is not scored. Answers and truth may differ in length: hca then
        is 0, the leaf is compared last with last, and a place that one of them lacks is wrong.
        """
        n, depth = len(names), max(1, *map(len, truth))
        right = torch.zeros(n, depth, dtype=torch.bool)
        leaf = torch.zeros(n, dtype=torch.bool)
        for row, (true, given) in enumerate(zip(truth, answers, strict=True)):
            for level, (a, b) in enumerate(zip(true, given, strict=False)):
                right[row, level] = a.lower() == b.lower()
            leaf[row] = bool(true) and bool(given) and true[-1].lower() == given[-1].lower()
        length = torch.tensor([len(true) for true in truth])
        counts = torch.tensor([len(given) for given in answers])
        unscored = (counts == 0) | (length == 0)
        return self._scores(names, right, length, counts, leaf, unscored)

    def blind(self, dataset: Questions) -> dict[str, Scores]:
        """Return what image-blind answers reach.

        uniform: any option, in expectation; position: the first; frequency and rarity: the option
        that is one most, or least, often in these data; path: that of the leaf most of whose
        taxonomy path is among the other levels' options; and by each prompt's words, characters.
        """
        if not dataset.choices.shape[2]:
            return {}  # the log of answers does not say between what
        spaces = blind.text_spaces(dataset.options, len(dataset.images))
        found = {
            key: scores
            for key, scores in blind.scores(self, dataset, spaces).items()
            if "words" in key or "characters" in key
        }
        choices = torch.from_numpy(dataset.choices)
        counts = torch.bincount(choices[choices >= 0], minlength=len(dataset.options)).double()
        row = torch.zeros(len(choices), dtype=torch.int64)
        by = {"position": torch.zeros_like(counts), "frequency": counts, "rarity": -counts}
        answers = {key: chosen(value[None], row, choices) for key, value in by.items()}
        answers["path"] = torch.tensor([_whole_path(dataset, r) for r in range(len(choices))])
        names = dataset.names()
        for key, answer in answers.items():
            found[key] = self._scores(names, *_right(dataset, answer))
        return {"uniform": Scores(names, _expected(choices)), **found}

    def _scores(
        self,
        names: Sequence[str],
        right: Bool[Tensor, "n l"],
        length: Int64[Tensor, " n"],
        counts: Int64[Tensor, " n"] | None = None,
        leaf: Bool[Tensor, " n"] | None = None,
        unscored: Bool[Tensor, " n"] | None = None,
        nulls: dict[Any, Null] | None = None,
    ) -> Scores:
        items = measures(right, length, counts, leaf)
        if unscored is not None:
            items = {key: value.masked_fill(unscored, torch.nan) for key, value in items.items()}
        scored = items["hca"].isfinite()
        there = (torch.arange(right.shape[1]) < length[:, None]) & scored[:, None]
        level = (right & there).sum(0).double() / there.sum(0)
        return Scores(
            ids=names,
            items=items,
            undefined={} if scored.any() else undefined(self.metrics, "no image has an answer"),
            summary={
                "level_accuracy": [value for value in level.tolist() if value == value],
                "unscored": int((~scored).sum()),
            },
            nulls=nulls or {},
        )


@dataclass(frozen=True)
class AnsweredConsistency:
    """The same measures of what a generative model answered: nothing is encoded."""

    name: ClassVar[str] = HierarchicalConsistency.name
    version: ClassVar[int] = HierarchicalConsistency.version
    dataset_type: ClassVar[type[Dataset]] = AnsweredQuestions
    datasets: ClassVar[tuple[str, ...]] = HierarchicalConsistency.datasets
    modalities: ClassVar[frozenset[Modality]] = frozenset()
    metrics: ClassVar[tuple[Metric, ...]] = HierarchicalConsistency.metrics

    def unfit(self, dataset: AnsweredQuestions) -> str | None:
        """Return None: a log that could be read can be scored."""
        return None

    def score(self, space: Space, dataset: AnsweredQuestions, generator: Generator) -> Scores:
        """Score the answers; the space is not looked at."""
        task = HierarchicalConsistency()
        scores = task.answered(dataset.names(), dataset.asked, dataset.answers)
        return replace(
            scores,
            details=lambda row: {
                "truth": list(dataset.asked[row]),
                "answers": list(dataset.answers[row]),
            },
        )

    def blind(self, dataset: AnsweredQuestions) -> dict[str, Scores]:
        """Return what image-blind answers to the same questions reach."""
        return HierarchicalConsistency().blind(dataset)


def measures(
    right: Bool[Tensor, "*b n l"],
    length: Int64[Tensor, " n"],
    counts: Int64[Tensor, " n"] | None = None,
    leaf: Bool[Tensor, "*b n"] | None = None,
) -> dict[str, Float64[Tensor, "*b n"]]:
    """Return each image's measures from which places of its path are right.

    `length` is the number of levels, `counts` of answers (None: the same), `leaf` whether the last
    answer is the leaf (None: the last level's).

    >>> right = torch.tensor([[True, True, False, True]])
    >>> {k: round(v.item(), 3) for k, v in measures(right, torch.tensor([4])).items()}
    {'hca': 0.0, 'leaf_accuracy': 1.0, 'por': 0.75, 's_por': 0.5, 'tor': 0.333}
    """
    there = torch.arange(right.shape[-1]) < length[:, None]  # [n, l]
    right = right & there
    if leaf is None:
        last = (length - 1).clamp(min=0)[:, None].expand(*right.shape[:-1], 1)
        leaf = right.gather(-1, last)[..., 0]
    whole = right.sum(-1) == length
    both = (right[..., 1:] & right[..., :-1]).sum(-1).double()
    return {
        "hca": (whole if counts is None else whole & (counts == length)).double(),
        "leaf_accuracy": leaf.double(),
        "por": right.sum(-1).double() / length,
        "s_por": right.long().cumprod(-1).sum(-1).double() / length,
        "tor": both / (length - 1).clamp(min=1),  # 0 for a path of one
    }


def chosen(
    near: Float[Tensor, "m t"], row: Int64[Tensor, " n"], choices: Int64[Tensor, "n l c"]
) -> Int64[Tensor, "n l"]:
    """Return the option that is largest in each row of `near`, the first of equal ones."""
    worth = near[row[:, None, None], choices.clamp(min=0)]
    place = worth.masked_fill(choices < 0, -torch.inf).argmax(-1, keepdim=True)
    return choices.gather(-1, place)[..., 0]


def _right(
    dataset: Questions, answers: Int64[Tensor, "n l"]
) -> tuple[Bool[Tensor, "n l"], Int64[Tensor, " n"]]:
    """Return which answers are right, and how many levels each row has."""
    truth, key = torch.from_numpy(dataset.truth), torch.from_numpy(dataset.key)
    return (key[answers] == key[truth]) & (truth >= 0), (truth >= 0).sum(1)


@dataclass(frozen=True, eq=False)
class _Reassigned:
    """The measures of every row asked about another image: a deal is a gather, no new encoding."""

    space: Space
    dataset: Questions

    def __call__(self, deals: Int64[Tensor, "b i"]) -> dict[str, Tensor]:
        images = torch.from_numpy(self.dataset.row_image)
        choices = torch.from_numpy(self.dataset.choices)
        found = [_right(self.dataset, chosen(self.near, deal[images], choices)) for deal in deals]
        return measures(torch.stack([right for right, _ in found]), found[0][1])

    @cached_property
    def near(self) -> Float[Tensor, "i t"]:
        """How near each option is to each image."""
        assert self.space.image is not None
        text, alike = self.space.text, first_alike(self.space.text)
        chunks = self.space.image.split(max(1, CHUNK // len(text)))
        return torch.cat([tied(self.space.similarity(x, text), alike).cpu() for x in chunks])


def _expected(choices: Int64[Tensor, "n l c"]) -> dict[str, Float64[Tensor, " n"]]:
    """Return the expected measures of an answerer that takes any option."""
    sizes = (choices >= 0).sum(-1)  # [n, l]
    length = (sizes > 0).sum(1)
    p = torch.where(sizes > 0, 1 / sizes.clamp(min=1).double(), 1.0)
    there = sizes > 0
    return {
        "hca": p.prod(1),
        "leaf_accuracy": p.gather(1, length[:, None] - 1)[:, 0],
        "por": (p * there).sum(1) / length,
        "s_por": (p.cumprod(1) * there).sum(1) / length,
        "tor": (p[:, 1:] * p[:, :-1] * there[:, 1:]).sum(1) / (length - 1).clamp(min=1),
    }


def _whole_path(dataset: Questions, row: int) -> list[int]:
    """Return the answers of the leaf option most of whose path is among the levels' options."""
    index = {name.lower(): i for i, name in enumerate(dataset.options)}
    options = [[c for c in level if c >= 0] for level in dataset.choices[row].tolist()]
    depth = sum(map(bool, options))
    best = [level[0] if level else -1 for level in options]
    most = -1
    for leaf in options[depth - 1]:
        path = [
            index.get(name, -1) for name in dataset.paths.get(dataset.options[leaf].lower(), ())
        ]
        on = [node in level for node, level in zip(path, options[:depth], strict=False)]
        if sum(on) > most:
            most = sum(on)
            best = [
                path[i] if i < len(on) and on[i] else (level[0] if level else -1)
                for i, level in enumerate(options)
            ]
    return best


def _with_details(scores: Scores, dataset: Questions, answers: Int64[Tensor, "n l"]) -> Scores:
    def details(row: int) -> dict[str, Any]:
        return {
            "truth": [dataset.options[i] for i in dataset.truth[row].tolist() if i >= 0],
            "answers": [dataset.options[i] for i in answers[row].tolist() if i >= 0],
        }

    return replace(scores, details=details)
