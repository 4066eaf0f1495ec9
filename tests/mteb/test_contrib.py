"""The files for MTEB's own repository say what hiereval.mteb says, and run there as it does."""

from __future__ import annotations

import importlib.util
import json
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import yaml

import hiereval.mteb

FOLDER = Path(__file__).parents[2] / "contrib" / "mteb"
KINDS = ("Ordering", "Entailment", "Retrieval", "ImageEntailment")
CLASSES = [f"HierarCaps{kind}" for kind in KINDS]


@pytest.fixture(scope="module")
def tasks() -> ModuleType:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("mteb")
        path = FOLDER / "tasks" / "hierarcaps.py"
        spec = importlib.util.spec_from_file_location("hierarcaps_for_mteb", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return module


def test_metadata_are_hierevals(tasks: ModuleType) -> None:
    for task, name in zip(hiereval.mteb.tasks(), CLASSES, strict=True):
        assert getattr(tasks, name).metadata == task.metadata
        assert task.metadata.name == name
        assert getattr(tasks, name).hierarchy_task == task.task.name
        assert task.metadata.main_score in {metric.name for metric in task.task.metrics}


def test_the_card_and_the_configuration_name_the_tasks(tasks: ModuleType) -> None:
    config = yaml.safe_load((FOLDER / "dataset" / "eval.yaml").read_text())
    assert config["evaluation_framework"] == "mteb"
    assert config.keys() == {"name", "description", "evaluation_framework", "tasks"}
    assert [task["id"] for task in config["tasks"]] == [
        name for kind in CLASSES for name in (kind, f"{kind}_default_test")
    ]
    card = (FOLDER / "dataset" / "README.md").read_text()
    head = yaml.safe_load(card.split("---\n")[1])
    assert "mteb" in head["tags"]
    assert all(name in card for name in CLASSES)
    assert tasks.CITATION.strip() in card


@pytest.mark.data
def test_statistics_are_those_of_the_data(tasks: ModuleType, hierarcaps_root: Path) -> None:
    for name in CLASSES[:3]:  # the images are read once: those of the last are the same
        written = json.loads((FOLDER / "descriptive_stats" / f"{name}.json").read_text())
        found = getattr(tasks, name)()._calculate_descriptive_statistics_from_split("test")
        assert written == {"test": found}


@pytest.mark.reference
@pytest.mark.parametrize("name", ["tree_mid", "unnormalised"])
def test_reference_embeddings_give_the_released_figures(
    name: str, tasks: ModuleType, hierarcaps_root: Path, reference_root: Path
) -> None:
    """Through MTEB: the official precision, recall and tau_d of given vectors."""
    import mteb
    from safetensors.torch import load_file

    class Given:
        def __init__(self, folder: Path) -> None:
            index = json.loads((folder / "index.json").read_text())
            vectors = load_file(folder / "embeddings.safetensors")
            self.texts = dict(zip(index["texts"], vectors["text"].numpy(), strict=True))
            self.images = vectors["image"].numpy()
            known = mteb.get_model_meta("mteb/baseline-random-encoder")
            about = {"name": "made/given", "revision": "1", "modalities": ["text", "image"]}
            self.mteb_model_meta = known.model_copy(update=about)

        def encode(self, inputs: Any, **_: Any) -> Any:
            rows = inputs.dataset
            if "image" in rows.features:
                order = {name: row for row, name in enumerate(pictures)}
                return self.images[[order[image.name] for image in rows.values]]
            return np.stack([self.texts[text] for text in rows.values])

        def similarity(self, a: Any, b: Any) -> Any:
            raise AssertionError

        similarity_pairwise = similarity

    folder = reference_root / "embeddings" / name
    pictures = json.loads((folder / "index.json").read_text())["images"]
    chosen = [tasks.HierarCapsOrdering(), tasks.HierarCapsRetrieval()]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = mteb.evaluate(
            Given(folder), chosen, cache=None, co2_tracker=False, show_progress_bar=False
        )
    found = {r.task_name: r.scores["test"][0] for r in results.task_results}
    expected = json.loads((reference_root / "expected.json").read_text())[name]
    assert found["HierarCapsOrdering"]["main_score"] == pytest.approx(expected["d_corr"], abs=1e-6)
    for metric in ("precision", "recall"):
        assert found["HierarCapsRetrieval"][metric] == pytest.approx(expected[metric], abs=1e-6)
