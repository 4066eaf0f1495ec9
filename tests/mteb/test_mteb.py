"""Inside MTEB: the numbers are hiereval's on the same vectors, the results files MTEB's own."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from support import checkpoints
from support.typed import exit_code

import hiereval.mteb
from hiereval.errors import HierevalError

PICTURES = 6
WORDS = ("animal", "bird", "a blue bird", "a blue bird on a branch")


@pytest.fixture(scope="module")
def mteb() -> Iterator[ModuleType]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # those of MTEB and of what it imports are not ours
        yield pytest.importorskip("mteb")


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Chains with negatives and images, few enough to be quick."""
    folder = tmp_path_factory.mktemp("own")
    rng = np.random.default_rng(0)
    rows = []
    for i in range(PICTURES):
        pixels = rng.integers(0, 255, (5, 6, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((48, 40)).save(folder / f"{i}.png")
        chain = [f"{word} {' '.join(map(str, rng.integers(0, 3, 2)))}" for word in WORDS]
        wrong = [f"not {word} {rng.integers(0, 3)}" for word in WORDS]
        rows.append({"captions": chain, "negatives": wrong, "image": f"{i}.png"})
    path = folder / "own.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


class Fake:
    """An encoder by MTEB's protocol whose vectors depend on what it is given, and on that alone."""

    def __init__(self, mteb: ModuleType, **meta: Any) -> None:
        known = mteb.get_model_meta("mteb/baseline-random-encoder")
        about = {"name": "made/fake", "revision": "1", "modalities": ["text", "image"], **meta}
        self.mteb_model_meta = known.model_copy(update=about)
        self.seen: dict[str, np.ndarray] = {}
        self.batches: list[int] = []

    def encode(self, inputs: Any, *, task_metadata: Any, **_: Any) -> Any:
        assert set(inputs.dataset.features) <= {"text", "image"}
        vectors = []
        for batch in inputs:
            ((column, values),) = batch.items()
            self.batches.append(len(values))
            vectors += [self.vector(column, value) for value in values]
        return np.stack(vectors)

    def vector(self, column: str, value: Any) -> np.ndarray:
        key = value if column == "text" else hashlib.sha256(value.tobytes()).hexdigest()
        seed = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big")
        self.seen[key] = np.random.default_rng(seed).standard_normal(8).astype(np.float32)
        return self.seen[key]

    def similarity(self, a: Any, b: Any) -> Any:
        raise AssertionError("the similarity is not asked for")

    def similarity_pairwise(self, a: Any, b: Any) -> Any:
        raise AssertionError("the similarity is not asked for")


def evaluate(mteb: ModuleType, model: Any, tasks: list[Any], **more: Any) -> dict[str, Any]:
    settings = {"cache": None, "co2_tracker": False, "show_progress_bar": False, **more}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = mteb.evaluate(model, tasks, encode_kwargs={"batch_size": 4}, **settings)
    return {result.task_name: result.scores["test"][0] for result in results.task_results}


def measured(model: str, data: Path, folder: Path) -> dict[str, dict[str, float]]:
    """What `hiereval run` gives for the same model."""
    names = ",".join(hiereval.mteb.TASKS)
    asked = ["run", "--model", model, "--dataset", data, "--tasks", names, "--controls", "none"]
    assert exit_code(*asked, "--resamples", "10", "--output-path", folder) == 0
    (path,) = folder.glob("*.jsonl")
    records = [json.loads(line) for line in path.read_text().splitlines()]
    return {
        record["task"]["name"]: {
            name: metric["value"]
            for name, metric in record["metrics"].items()
            if metric["value"] is not None
        }
        for record in records
    }


def same(ours: dict[str, dict[str, float]], theirs: dict[str, Any]) -> None:
    assert len(ours) == len(theirs) == 4
    for name, values in ours.items():
        (found,) = (v for k, v in theirs.items() if k == f"Own{name.title().replace('-', '')}")
        assert {key: found[key] for key in values} == pytest.approx(values, rel=0, abs=1e-9)
        assert found["main_score"] in values.values()


def test_a_fake_encoder_gets_hierevals_numbers_and_mtebs_files(
    mteb: ModuleType, own: Path, tmp_path: Path
) -> None:
    fake = Fake(mteb)
    cache = mteb.cache.ResultCache(tmp_path / "mteb") if hasattr(mteb, "cache") else None
    theirs = evaluate(mteb, fake, hiereval.mteb.tasks(dataset=str(own)), cache=cache)
    texts = {key: vector for key, vector in fake.seen.items() if len(key) != 64}
    pictures = {}
    for i in range(PICTURES):
        pixels = Image.open(own.parent / f"{i}.png").convert("RGB").tobytes()
        pictures[f"{i}.png"] = fake.seen[hashlib.sha256(pixels).hexdigest()]
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "index.json").write_text(json.dumps({"texts": [*texts], "images": [*pictures]}))
    tensors = {"text": [*texts.values()], "image": [*pictures.values()]}
    save_file(
        {key: torch.from_numpy(np.stack(rows)) for key, rows in tensors.items()},
        folder / "embeddings.safetensors",
    )
    same(measured(f"precomputed:{folder}", own, tmp_path / "results"), theirs)
    assert max(fake.batches) == 4
    written = list((tmp_path / "mteb").rglob("OwnOrdering.json"))
    assert len(written) == 1
    scores = json.loads(written[0].read_text())["scores"]["test"][0]
    assert scores["main_score"] == round(theirs["OwnOrdering"]["tau_d"], 6)  # MTEB's rounding


def test_a_tiny_clip_through_mtebs_own_loader(
    mteb: ModuleType, own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = checkpoints.clip(tmp_path / "tiny")
    known = mteb.get_model_meta("openai/clip-vit-base-patch32")
    meta = known.model_copy(update={"name": str(folder), "revision": None, "embed_dim": 32})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = meta.load_model(device="cpu")
    found = evaluate(mteb, model, hiereval.mteb.tasks(dataset=str(own)))
    ours = measured(f"hf-clip:{folder}", own, tmp_path / "results")
    # the wrapper's own image processor resizes otherwise than ours, so text tasks alone agree
    for task in ("ordering", "entailment"):
        assert {k: found[f"Own{task.title()}"][k] for k in ours[task]} == pytest.approx(
            ours[task], abs=1e-4
        )
    assert {"image_auroc", "image_average_precision"} <= found["OwnImageEntailment"].keys()


def test_undefined_is_nan_and_left_out(mteb: ModuleType, own: Path) -> None:
    class Constant(Fake):
        def vector(self, column: str, value: Any) -> np.ndarray:
            return np.ones(3, dtype=np.float32)

    found = evaluate(mteb, Constant(mteb), hiereval.mteb.tasks(["ordering"], dataset=str(own)))
    scores = found["OwnOrdering"]
    assert np.isnan(scores["main_score"])
    assert "tau_partial" not in scores


def refusal(mteb: ModuleType, model: Any, own: Path, task: str = "ordering") -> str:
    with pytest.raises(HierevalError) as raised:
        evaluate(mteb, model, hiereval.mteb.tasks([task], dataset=str(own)))
    return str(raised.value)


def test_refusals(mteb: ModuleType, own: Path, tmp_path: Path) -> None:
    class Two(Fake):
        def encode(self, inputs: Any, **more: Any) -> Any:
            return torch.from_numpy(super().encode(inputs, **more))[:, None]

    class Infinite(Fake):
        def vector(self, column: str, value: Any) -> np.ndarray:
            return np.array([np.inf, 1.0])

    n = len({c for line in own.read_text().splitlines() for k in ("captions", "negatives")
             for c in json.loads(line)[k]}) + 1  # fmt: skip
    assert refusal(mteb, Two(mteb), own) == (
        f"The text vectors of 'made/fake' must be [{n}, d] numbers, one vector each; they are "
        f"[{n}, 1, 8] torch.float32."
    )
    assert refusal(mteb, Infinite(mteb), own) == (
        f"The text vectors of 'made/fake' must be finite; {n} of {n} are not."
    )
    dots = Fake(mteb, similarity_fn_name=mteb.similarity_functions.ScoringFunction.DOT_PRODUCT
                if hasattr(mteb, "similarity_functions") else "dot")  # fmt: skip
    assert refusal(mteb, dots, own) == (
        "The model 'made/fake' must compare by cosine; its similarity is 'dot'."
    )
    blip = Fake(mteb, name="Salesforce/blip-image-captioning-base")
    assert refusal(mteb, blip, own) == (
        "The model 'Salesforce/blip-image-captioning-base' must be an encoder: it is a captioning "
        "or question-answering checkpoint, whose projections were never trained."
    )
    plain = tmp_path / "plain.csv"
    plain.write_text("captions\nanimal => bird\n")
    assert refusal(mteb, Fake(mteb), plain, "entailment") == (
        f"The dataset '{plain}' must fit entailment: plain.csv has no negative captions."
    )


def test_unknown_names_and_what_importing_costs() -> None:
    with pytest.raises(HierevalError) as raised:
        hiereval.mteb.tasks(["orderin"])
    assert str(raised.value) == (
        "The task 'orderin' must be one of ordering, entailment, retrieval, image-entailment "
        "inside MTEB. Did you mean 'ordering'?"
    )
    code = "import sys, hiereval.mteb; assert not {'mteb', 'torch', 'datasets'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
