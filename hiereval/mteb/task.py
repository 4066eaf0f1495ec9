"""hiereval's tasks as MTEB's AbsTask: the same numbers, in MTEB's own results files."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mteb
import torch
from mteb.abstasks import AbsTask

from hiereval import estimates, registry
from hiereval.datasets import image_files
from hiereval.datasets.hierarcaps import COMMIT
from hiereval.errors import HierevalError
from hiereval.mteb.encoding import Encoder
from hiereval.probes.roots import EmptyRoot
from hiereval.types import Chains, Dataset, Task

SEED = 0  # as in 'hiereval run'
PAPER = "https://arxiv.org/abs/2407.08521"
CITATION = r"""
@inproceedings{alper2024emergent,
  author = {Alper, Morris and Averbuch-Elor, Hadar},
  booktitle = {European Conference on Computer Vision (ECCV)},
  title = {Emergent Visual-Semantic Hierarchies in Image-Text Representations},
  year = {2024},
}
"""
FACTS: dict[str, dict[str, Any]] = {
    "ordering": {
        "description": "Chains of captions from general to specific: does the distance from the "
        "embedding of the empty string grow along each chain?",
        "type": "Compositionality",
        "category": "t2t",
        "modalities": ["text"],
        "main_score": "tau_d",
        "task_subtypes": ["Textual Entailment"],
    },
    "entailment": {
        "description": "A general caption with a more specific one that it entails and one that "
        "contradicts it: which lies at the smaller exterior angle?",
        "type": "Compositionality",
        "category": "t2t",
        "modalities": ["text"],
        "main_score": "triplet_accuracy_documented",
        "task_subtypes": ["Textual Entailment"],
    },
    "retrieval": {
        "description": "Captions found for an image by growing the radius around the embedding of "
        "the empty string: which of the image's four tiers are among them?",
        "type": "Any2AnyRetrieval",
        "category": "i2t",
        "modalities": ["text", "image"],
        "main_score": "rank_f1",
        "task_subtypes": ["Image Text Retrieval"],
    },
    "image-entailment": {
        "description": "Captions against an image, more general ones included: does the exterior "
        "angle tell those that are true of it from others of the same tier?",
        "type": "Compositionality",
        "category": "i2t",
        "modalities": ["text", "image"],
        "main_score": "image_auroc",
        "task_subtypes": ["Image Text Retrieval"],
    },
}


def metadata(task: str, dataset: str) -> mteb.TaskMetadata:
    """Return what MTEB knows of a task on a dataset, named by both (HierarCapsOrdering)."""
    hierarcaps = dataset.startswith("hierarcaps")
    about = "HierarCaps" if hierarcaps else _joined(Path(dataset).stem)
    return mteb.TaskMetadata(
        name=f"{about}{_joined(task)}",
        dataset={"path": "TAU-VAILab/hierarcaps" if hierarcaps else dataset, "revision": COMMIT},
        reference=PAPER,
        eval_splits=["test"],
        eval_langs=["eng-Latn"],
        date=("2014-01-01", "2024-07-11"),
        domains=["Scene"],
        license="not specified",
        annotations_creators="LM-generated and reviewed",
        dialect=[],
        sample_creation="LM-generated and verified",
        bibtex_citation=CITATION,
        **FACTS[task],
    )


def _joined(name: str) -> str:
    return "".join(part.capitalize() for part in re.split(r"\W+", name))


class HierarchyTask(AbsTask):
    """One of hiereval's tasks on one dataset."""

    data: Dataset

    def __init__(self, task: Task, spec: str, load: Callable[[str], Dataset]) -> None:
        self.task, self.spec, self.load = task, spec, load
        super().__init__(seed=SEED)

    @classmethod
    def of(cls, name: str, dataset: str | None, load: Callable[[str], Dataset]) -> HierarchyTask:
        """Return the task of this name; nothing is read yet.

        Its class is made for it, because MTEB holds metadata to be the class's.
        """
        task = registry.load("tasks", name)()
        spec = dataset or task.datasets[0]
        known = metadata(name, spec)
        return type(known.name, (cls,), {"metadata": known})(task, spec, load)

    def load_data(self, *_: Any, **__: Any) -> None:
        """Read the dataset from hiereval's folders; raises HierevalError where it does not fit."""
        if self.data_loaded:
            return
        self.data = self.load(self.spec)
        reason = (
            self.task.unfit(self.data)
            if isinstance(self.data, self.task.dataset_type)
            else f"it holds no {self.task.dataset_type.__name__}"
        )
        if reason is not None:
            raise HierevalError(f"The dataset {self.spec!r} must fit {self.task.name}: {reason}.")
        self.dataset = dict.fromkeys(self.metadata.eval_splits, self.data)
        self.data_loaded = True

    def _evaluate_subset(
        self,
        model: Any,
        data_split: Dataset,
        *,
        hf_split: str,
        hf_subset: str,
        encode_kwargs: Any,
        **_: Any,
    ) -> dict[str, Any]:
        """Encode once, score, and return every defined metric; an undefined main score is NaN."""
        encoder = Encoder(model, self.metadata, hf_split, hf_subset, dict(encode_kwargs))
        encoder.refuse()
        probe = EmptyRoot()
        embeddings = encoder.embeddings(
            data_split,
            probe.anchors(encoder.model_id(torch.empty(0, 0))),
            images="image" in self.task.modalities,
        )
        generator = torch.Generator().manual_seed(SEED)
        scores = self.task.score(probe.space(embeddings), data_split, generator)
        values = estimates.values(estimates.metrics_of(self.task, scores.items), scores)
        defined = {name: value for name, value in values.items() if value == value}
        return {self.metadata.main_score: math.nan, **defined}

    def _calculate_descriptive_statistics_from_split(  # type: ignore[override]
        self, split: str, **_: Any
    ) -> dict[str, Any]:
        """Return what is counted of the data, in MTEB's own words."""
        self.load_data()
        lengths = [len(text) for text in self.data.texts]
        count = len(self.data.chains) if isinstance(self.data, Chains) else 0
        seen = "image" in self.task.modalities
        return {
            "num_samples": count,
            "text_statistics": {
                "total_text_length": sum(lengths),
                "min_text_length": min(lengths),
                "average_text_length": sum(lengths) / len(lengths),
                "max_text_length": max(lengths),
                "unique_texts": len(lengths),
            },
            "image_statistics": _sizes(self.data) if seen else None,
        }


def _sizes(data: Dataset) -> dict[str, Any]:
    """Return the images' sizes in pixels."""
    sizes = [image_files.decode(image).size for image in data.images]
    found: dict[str, Any] = {}
    for axis, name in enumerate(("width", "height")):
        pixels = [size[axis] for size in sizes]
        found |= {
            f"min_image_{name}": min(pixels),
            f"average_image_{name}": sum(pixels) / len(pixels),
            f"max_image_{name}": max(pixels),
        }
    return {**found, "unique_images": len(sizes)}
