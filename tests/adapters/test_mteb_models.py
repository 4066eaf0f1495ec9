"""Models of MTEB's registry: the same vectors as the native adapter, or a reason."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import mteb
import pytest
import torch
from mteb.models.model_implementations import MODEL_REGISTRY
from mteb.models.model_implementations.clip_models import CLIPModel
from mteb.models.model_meta import ModelMeta
from PIL import Image

from hiereval.adapters.hf_clip import HFClip
from hiereval.adapters.mteb_models import MtebModel
from hiereval.adapters.mteb_registry import registry_rows
from hiereval.errors import HierevalError
from hiereval.models import open_adapter
from hiereval.run import RunConfig, run
from hiereval.session import Session
from hiereval.testing import check_adapter
from hiereval.types import LoadOptions

NAME, COMMIT = "tiny/clip", "0" * 40
TEXTS = ["", "animal", "a blue bird on a branch", "two dogs play with a red ball in the snow"]


class Local(CLIPModel):
    """MTEB's own wrapper of CLIP, on a folder; `spoil` breaks one rule."""

    def __init__(
        self, name: str, revision: str, folder: str, spoil: str = "", **kwargs: Any
    ) -> None:
        super().__init__(folder, revision=None, **kwargs)  # type: ignore[arg-type]
        self.spoil = spoil

    def encode(self, inputs: Any, **kwargs: Any) -> Any:
        vectors = super().encode(inputs, **kwargs)
        if self.spoil == "half":
            vectors = vectors.half()
        if self.spoil == "batch":
            vectors = vectors + 0.1 * vectors.mean(dim=0)
        if self.spoil == "one point":
            vectors = torch.ones_like(vectors)
        return vectors


@pytest.fixture
def register(
    checkpoint: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., str]:
    """A function that registers a tiny CLIP with MTEB and returns its name."""

    def registered(name: str = NAME, **changes: Any) -> str:
        known = mteb.get_model_meta("openai/clip-vit-base-patch32")
        loader = partial(Local, folder=str(checkpoint("clip")), spoil=changes.pop("spoil", ""))
        given = {"name": name, "revision": COMMIT, "embed_dim": 24, "loader": loader, **changes}
        meta: ModelMeta = known.model_copy(update=given)
        monkeypatch.setitem(MODEL_REGISTRY, name, meta)
        return name

    return registered


def _refused(name: str, *, use: bool = False, arguments: Any = None, **options: Any) -> str:
    with pytest.raises(HierevalError) as caught:
        _tried(name, LoadOptions(**options), use, arguments or {})
    return str(caught.value)


def _tried(name: str, options: LoadOptions, use: bool, arguments: dict[str, str]) -> None:
    model = MtebModel(name, options, **arguments)
    if use:
        model.encode_texts(["a bird"])


def _close(a: torch.Tensor, b: torch.Tensor) -> float:
    a, b = (torch.nn.functional.normalize(x.double(), dim=1) for x in (a, b))
    return float((a - b).abs().max())


def test_the_vectors_are_the_native_adapters(
    register: Callable[..., str], checkpoint: Callable[[str], Path]
) -> None:
    model = MtebModel(register(), LoadOptions())
    native = HFClip(str(checkpoint("clip")), LoadOptions())
    assert _close(model.encode_texts(TEXTS), native.encode_texts(TEXTS)) < 1e-6
    # at the model's own size nothing is resized: MTEB's wrappers resize by torchvision
    noise = random.Random(0).randbytes(32 * 32 * 3)
    picture = Image.frombytes("RGB", (32, 32), noise)
    ours, theirs = (a.encode_images([a.preprocess(picture)]) for a in (native, model))
    assert _close(ours, theirs) < 1e-6


def test_what_was_seen_is_in_the_record_also_without_the_network(
    register: Callable[..., str], tmp_path: Path
) -> None:
    session = Session.of(device="cpu", cache_dir=tmp_path / "cache", offline=True)
    config = RunConfig(
        model=f"mteb:{register()}", datasets=("shapes",), tasks="ordering", output=tmp_path / "a"
    )
    first = run(session, config)[0].model
    assert (first.revision, first.output_dtype, first.trust_remote_code) == (
        COMMIT,
        "float32",
        False,
    )
    assert first.conformance is not None
    assert first.conformance.startswith("passed: text: shape, type, finite: [5, 24] float32; ")
    assert "text: the root alone and among long texts: within " in first.conformance
    assert "image: any batch size, order and duplicates: within " in first.conformance
    from dataclasses import replace

    again = run(session, replace(config, output=tmp_path / "b"))[0].model
    assert again == first
    outcome = tmp_path / "cache" / "conformance" / f"{first.fingerprint}.json"
    assert json.loads(outcome.read_text())["output_dtype"] == "float32"


def test_half_precision_is_said(register: Callable[..., str]) -> None:
    model = MtebModel(register(spoil="half"), LoadOptions())
    assert model.encode_texts(["a bird"]).dtype == torch.float32
    assert model.id.output_dtype == "float16 (weights float32)"


@pytest.mark.parametrize(
    ("spoil", "what"),
    [("batch", "text: any batch size: vectors "), ("one point", "text: captions differ: ")],
)
def test_a_wrapper_that_breaks_a_rule_is_not_measured(
    register: Callable[..., str], spoil: str, what: str
) -> None:
    name = register(f"tiny/{spoil.replace(' ', '-')}", spoil=spoil)
    assert _refused(name, use=True).startswith(
        f"The model {name.partition('/')[2]!r} must give each text and picture one vector; it was "
        f"not measured, because a check failed: {what}"
    )


def test_who_it_is(register: Callable[..., str]) -> None:
    name = register()
    plain, query = (MtebModel(name, LoadOptions(), prompt_type=p) for p in (None, "query"))
    moved = MtebModel(register(revision="1" * 40), LoadOptions())
    assert plain.id.checkpoint == name
    assert plain.id.name == "clip"
    assert len({m.id.fingerprint() for m in (plain, query, moved)}) == 3


def test_the_kit(register: Callable[..., str]) -> None:
    name = register()
    checks = check_adapter(lambda: open_adapter(f"mteb:{name}", LoadOptions(), {}))
    assert [check for check in checks if check.passed is False] == []


def test_refused(register: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert _refused("openai/clip-vit-base-patch23") == (
        "The model 'openai/clip-vit-base-patch23' must be one of MTEB's registry. Did you mean "
        "'openai/clip-vit-base-patch32'? 'hiereval ls models --source mteb' lists them."
    )
    for name in ("Salesforce/blip-image-captioning-base", "Salesforce/blip-vqa-base"):
        assert _refused(name) == (
            f"The model {name!r} must be an encoder: it is a captioning or question-answering "
            "checkpoint, whose projections were never trained."
        )
    laion = "laion/CLIP-ViT-B-32-DataComp.XL-s13B-b90K"
    assert _refused(laion) == (
        f"The wrapper of {laion!r} in MTEB takes no revision and computes under CUDA's autocast: "
        f"'--model openclip:hf-hub:{laion}' does neither. '--model-args insist=true' runs it all "
        "the same."
    )
    assert MtebModel(laion, LoadOptions(), insist="true").id.adapter == "mteb"
    assert _refused(register(revision="1")) == (
        "The model 'tiny/clip' must have a commit in MTEB's registry; it has '1', which says "
        "nothing about its weights."
    )
    assert _refused(register(), revision="main") == (
        f"The revision 'main' must be the one that MTEB registers for 'tiny/clip': {COMMIT}."
    )
    assert _refused(register(), precision="bf16") == (
        "The precision 'bf16' must be left out with 'mteb:tiny/clip': its wrapper chooses it, and "
        "the record says what came back."
    )
    assert _refused(register(), random_init=0) == (
        "The random initialisation of 'mteb:tiny/clip' must be left out: MTEB loads trained "
        "weights alone."
    )
    assert _refused(register(open_weights=False)) == (
        "The model 'tiny/clip' must have open weights to be run here; 'hiereval inputs' writes "
        "what a closed one has to embed."
    )
    assert _refused(register(model_type=["late-interaction"])) == (
        "The model 'tiny/clip' must give one vector for each text; MTEB registers it as "
        "late-interaction for image, text."
    )
    assert _refused(register(), arguments={"prompt_type": "q"}) == (
        "The prompt_type 'q' must be one of query, document."
    )
    remote = register(loader_kwargs={"model_kwargs": {"trust_remote_code": True}})
    assert _refused(remote) == (
        "The model 'tiny/clip' must be allowed to run its repository's Python code as you: "
        "--trust-remote-code. The record and the board say so."
    )
    assert MtebModel(remote, LoadOptions(trust_remote_code=True)).id.trust_remote_code


def test_a_missing_extra_is_named(register: Callable[..., str]) -> None:
    def load(name: str, **_: Any) -> Any:
        raise ImportError("No module named 'flag'")

    name = register(loader=load, extra_requirements_groups=[])
    assert _refused(name, use=True) == (
        "The model 'tiny/clip' must have what MTEB loads it with: ImportError: No module named "
        "'flag'"
    )


def test_the_registry() -> None:
    rows = registry_rows()
    found = {row["name"]: row for row in rows}["mteb:openai/clip-vit-base-patch32"]
    assert found == {
        "name": "mteb:openai/clip-vit-base-patch32",
        "parameters": 151_277_313,
        "licence": None,
        "open_weights": True,
        "modalities": ["image", "text"],
        "revision": "3d74acf9a28c67741b2f4f2ea7635f0aaf6f0268",
        "extra": [],
        "remote_code": False,
    }
    seeing: Sequence[Any] = [row for row in rows if "image" in row["modalities"]]
    assert len(seeing) > 100


def test_the_command_lists_it_and_downloads(register: Callable[..., str]) -> None:
    from click.testing import CliRunner

    from hiereval.cli import hiereval as main

    listed = CliRunner().invoke(main, ["ls", "models", "--source", "mteb", "--json"])
    assert {row["name"] for row in json.loads(listed.output)} >= {
        "mteb:openai/clip-vit-base-patch32"
    }
    fetched = CliRunner().invoke(main, ["download", f"mteb:{register()}", "--offline"])
    assert fetched.output == f"clip is complete at {COMMIT}.\n"
