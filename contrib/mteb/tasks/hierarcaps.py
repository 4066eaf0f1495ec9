"""HierarCaps: does an embedding space know which caption is more general? (ECCV 2024)

For `mteb/tasks/hierarcaps.py` in MTEB. Data and scores come from hiereval (`pip install
hiereval-vlm`, an extra of MTEB's own), so that both always give the same numbers.
"""

from __future__ import annotations

from typing import Any, ClassVar

from mteb.abstasks import AbsTask
from mteb.abstasks.task_metadata import TaskMetadata

CITATION = r"""
@inproceedings{alper2024emergent,
  author = {Alper, Morris and Averbuch-Elor, Hadar},
  booktitle = {European Conference on Computer Vision (ECCV)},
  title = {Emergent Visual-Semantic Hierarchies in Image-Text Representations},
  year = {2024},
}
"""


class AbsTaskHierarchy(AbsTask):
    """A task that hiereval scores; a subclass says which, and what MTEB is to know of it."""

    hierarchy_task: ClassVar[str]

    def load_data(self, num_proc: int | None = None, **kwargs: Any) -> None:
        """Read the data from hiereval's folders (HIEREVAL_DATA), fetched on first use."""
        if self.data_loaded:
            return
        try:
            import hiereval.mteb
        except ModuleNotFoundError as error:
            raise ImportError(
                f"{self.metadata.name} needs hiereval: pip install hiereval-vlm"
            ) from error
        (self.scored,) = hiereval.mteb.tasks([self.hierarchy_task])
        self.scored.load_data()
        self.dataset = self.scored.dataset
        self.data_loaded = True

    def _evaluate_subset(self, model: Any, data_split: Any, **kwargs: Any) -> dict[str, Any]:
        return self.scored._evaluate_subset(model, data_split, **kwargs)

    def _calculate_descriptive_statistics_from_split(
        self, split: str, **kwargs: Any
    ) -> dict[str, Any]:
        self.load_data()
        return self.scored._calculate_descriptive_statistics_from_split(split, **kwargs)


class HierarCapsOrdering(AbsTaskHierarchy):
    """hiereval's ordering on HierarCaps."""

    hierarchy_task = "ordering"
    metadata = TaskMetadata(
        name="HierarCapsOrdering",
        dataset={
            "path": "TAU-VAILab/hierarcaps",
            "revision": "ba22b8914db10973e38d2c03f08bb4dce7ba118e",
        },
        description=(
            "Chains of captions from general to specific: does the distance from the "
            "embedding of the empty string grow along each chain?"
        ),
        reference="https://arxiv.org/abs/2407.08521",
        type="Compositionality",
        category="t2t",
        modalities=["text"],
        eval_splits=["test"],
        eval_langs=["eng-Latn"],
        main_score="tau_d",
        date=("2014-01-01", "2024-07-11"),
        domains=["Scene"],
        task_subtypes=["Textual Entailment"],
        license="not specified",
        annotations_creators="LM-generated and reviewed",
        dialect=[],
        sample_creation="LM-generated and verified",
        bibtex_citation=CITATION,
    )


class HierarCapsEntailment(AbsTaskHierarchy):
    """hiereval's entailment on HierarCaps."""

    hierarchy_task = "entailment"
    metadata = TaskMetadata(
        name="HierarCapsEntailment",
        dataset={
            "path": "TAU-VAILab/hierarcaps",
            "revision": "ba22b8914db10973e38d2c03f08bb4dce7ba118e",
        },
        description=(
            "A general caption with a more specific one that it entails and one that "
            "contradicts it: which lies at the smaller exterior angle?"
        ),
        reference="https://arxiv.org/abs/2407.08521",
        type="Compositionality",
        category="t2t",
        modalities=["text"],
        eval_splits=["test"],
        eval_langs=["eng-Latn"],
        main_score="triplet_accuracy_documented",
        date=("2014-01-01", "2024-07-11"),
        domains=["Scene"],
        task_subtypes=["Textual Entailment"],
        license="not specified",
        annotations_creators="LM-generated and reviewed",
        dialect=[],
        sample_creation="LM-generated and verified",
        bibtex_citation=CITATION,
    )


class HierarCapsRetrieval(AbsTaskHierarchy):
    """hiereval's retrieval on HierarCaps."""

    hierarchy_task = "retrieval"
    metadata = TaskMetadata(
        name="HierarCapsRetrieval",
        dataset={
            "path": "TAU-VAILab/hierarcaps",
            "revision": "ba22b8914db10973e38d2c03f08bb4dce7ba118e",
        },
        description=(
            "Captions found for an image by growing the radius around the embedding of "
            "the empty string: which of the image's four tiers are among them?"
        ),
        reference="https://arxiv.org/abs/2407.08521",
        type="Any2AnyRetrieval",
        category="i2t",
        modalities=["text", "image"],
        eval_splits=["test"],
        eval_langs=["eng-Latn"],
        main_score="rank_f1",
        date=("2014-01-01", "2024-07-11"),
        domains=["Scene"],
        task_subtypes=["Image Text Retrieval"],
        license="not specified",
        annotations_creators="LM-generated and reviewed",
        dialect=[],
        sample_creation="LM-generated and verified",
        bibtex_citation=CITATION,
    )


class HierarCapsImageEntailment(AbsTaskHierarchy):
    """hiereval's image-entailment on HierarCaps."""

    hierarchy_task = "image-entailment"
    metadata = TaskMetadata(
        name="HierarCapsImageEntailment",
        dataset={
            "path": "TAU-VAILab/hierarcaps",
            "revision": "ba22b8914db10973e38d2c03f08bb4dce7ba118e",
        },
        description=(
            "Captions against an image, more general ones included: does the exterior "
            "angle tell those that are true of it from others of the same tier?"
        ),
        reference="https://arxiv.org/abs/2407.08521",
        type="Compositionality",
        category="i2t",
        modalities=["text", "image"],
        eval_splits=["test"],
        eval_langs=["eng-Latn"],
        main_score="image_auroc",
        date=("2014-01-01", "2024-07-11"),
        domains=["Scene"],
        task_subtypes=["Image Text Retrieval"],
        license="not specified",
        annotations_creators="LM-generated and reviewed",
        dialect=[],
        sample_creation="LM-generated and verified",
        bibtex_citation=CITATION,
    )
