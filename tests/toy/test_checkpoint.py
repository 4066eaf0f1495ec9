"""The shipped toy: a CLIP checkpoint like any other, and what it reaches on the shapes test."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from hiereval import registry
from hiereval.datasets import open_dataset
from hiereval.embed import embed
from hiereval.estimates import bootstrap
from hiereval.geometry import normalise
from hiereval.models import located, open_adapter, resolve
from hiereval.places import Places
from hiereval.spaces import space_of
from hiereval.store import Store
from hiereval.toy.phrases import VALUES, caption
from hiereval.toy.shapes import split_scenes
from hiereval.types import Chains, DataOptions, Embeddings, LoadOptions

FOLDER = Path(located(resolve("toy", Places.of()).checkpoint))


def embeddings(data: Chains, folder: Path, random_init: int | None = None) -> Embeddings:
    adapter = open_adapter(
        "toy", LoadOptions(random_init=random_init, places=Places.of(offline=True)), {}
    )
    return embed(adapter, data, images=True, anchors=[""], store=Store(folder))[0]


def values(task_name: str, found: Embeddings, data: Chains) -> dict[str, Any]:
    task = registry.load("tasks", task_name)()
    space = space_of(found.model, found.text, found.image, found.anchors[""])
    scores = task.score(space, data, torch.Generator().manual_seed(0))
    return bootstrap(task.metrics, scores, seed=0, resamples=200)


@pytest.fixture(scope="module")
def data() -> Chains:
    return open_dataset("shapes", DataOptions(places=Places.of(data_dir=Path(), offline=True)))


@pytest.fixture(scope="module")
def toy(data: Chains, tmp_path_factory: pytest.TempPathFactory) -> Embeddings:
    return embeddings(data, tmp_path_factory.mktemp("toy"))


@pytest.fixture(scope="module")
def twin(data: Chains, tmp_path_factory: pytest.TempPathFactory) -> Embeddings:
    return embeddings(data, tmp_path_factory.mktemp("twin"), random_init=0)


@pytest.mark.parametrize("spec", ["toy", "hf-clip:builtin:toy"])
def test_a_record_does_not_say_where_the_toy_lies(spec: str) -> None:
    options = LoadOptions(places=Places.of(offline=True))
    found, plain = (open_adapter(name, options, {}).id for name in (spec, f"hf-clip:{FOLDER}"))
    assert (found.adapter, found.checkpoint) == ("hf-clip", "builtin:toy")
    assert found.fingerprint() == plain.fingerprint()


def test_the_folder_is_small_and_complete() -> None:
    sizes = {file.name: file.stat().st_size for file in FOLDER.iterdir()}
    assert set(sizes) == {
        "config.json",
        "model.safetensors",
        "preprocessor_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    assert sum(sizes.values()) < 3_000_000


def test_transformers_loads_every_weight_and_no_other() -> None:
    from transformers import CLIPModel

    model, report = CLIPModel.from_pretrained(FOLDER, output_loading_info=True)
    assert {key: value for key, value in report.items() if value} == {}
    assert sum(p.numel() for p in model.parameters()) == 339_457


def test_texts_end_and_are_padded_as_in_clip() -> None:
    from transformers import AutoTokenizer, CLIPTokenizerFast

    config = json.loads((FOLDER / "config.json").read_text())["text_config"]
    for kind in (AutoTokenizer, CLIPTokenizerFast):
        tokenizer = kind.from_pretrained(FOLDER)
        assert tokenizer.eos_token == tokenizer.pad_token == "<|endoftext|>"
        start, end = len(tokenizer) - 2, len(tokenizer) - 1
        assert (tokenizer.bos_token_id, tokenizer.eos_token_id) == (start, end)
        assert (config["bos_token_id"], config["eos_token_id"]) == (start, end)
        assert config["pad_token_id"] == tokenizer.pad_token_id == end
        assert tokenizer.model_max_length == config["max_position_embeddings"] == 77
        ids = tokenizer(["", "Red Star"], padding=True)["input_ids"]
        red, star = tokenizer.convert_tokens_to_ids(["red</w>", "star</w>"])
        assert ids == [[start, end, end, end], [start, red, star, end]]


def test_it_is_the_ordinary_adapter() -> None:
    adapter = open_adapter("toy", LoadOptions(places=Places.of(offline=True)), {})
    assert (adapter.id.adapter, adapter.id.name) == ("hf-clip", "toy")
    assert (adapter.id.embed_dim, adapter.id.context_length) == (64, 77)


def test_what_it_reaches(toy: Embeddings, data: Chains) -> None:
    ordering = values("ordering", toy, data)
    for step in ("1_2", "2_3", "3_4"):  # each boundary is hard, and none at chance
        found = ordering[f"adjacent_accuracy_{step}"]
        assert 0.65 < found.low < found.high < 0.85, step
    assert 0.62 < ordering["length_matched_auroc"].low < ordering["length_matched_auroc"].high < 0.7
    assert 0.6 < ordering["tau_d"].low < ordering["tau_d"].high < 0.72
    retrieval = values("retrieval", toy, data)
    assert 0.06 < retrieval["rank_f1"].low < retrieval["rank_f1"].high < 0.1
    entailment = values("entailment", toy, data)
    assert entailment["triplet_accuracy_released"].low > 0.7
    documented = entailment["triplet_accuracy_documented"]  # both sides are children: chance
    assert documented.low < 0.5 < documented.high
    flat = values("flat-retrieval", toy, data)
    assert 0.15 < flat["image_to_text_r1"].low < flat["image_to_text_r1"].high < 0.27


def test_it_reaches_more_than_words_and_an_untrained_twin(
    toy: Embeddings, twin: Embeddings, data: Chains
) -> None:
    words = torch.tensor([[float(len(text.split()))] for text in data.texts])
    model = replace(toy.model, geometry="euclidean")
    counted = Embeddings(model, words, None, {"": torch.zeros(1)})
    found = [values("ordering", e, data) for e in (counted, twin, toy)]
    for metric in ("tau_d", "exact_order", "adjacent_accuracy_1_2", "length_matched_auroc"):
        assert max(v[metric].high for v in found[:2]) < found[2][metric].low, metric
    reached = [values("retrieval", e, data) for e in (twin, toy)]
    assert reached[0]["rank_f1"].high < 0.05 < reached[1]["rank_f1"].low


def test_kinds_colours_and_grounds_are_recognised(toy: Embeddings, data: Chains) -> None:
    assert toy.image is not None
    scenes = split_scenes("test")
    adapter = open_adapter("toy", LoadOptions(places=Places.of(offline=True)), {})
    for fact in ("kind", "colour", "ground"):
        captions = adapter.encode_texts([caption({fact: value}) for value in VALUES[fact]])
        best = (normalise(toy.image) @ normalise(captions).T).argmax(1)
        true = torch.tensor([VALUES[fact].index(getattr(scene.facts, fact)) for scene in scenes])
        assert (best == true).float().mean().item() > 0.98, fact
