"""Each tower loads when it is first used: its parameters alone, its vectors the same."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from support import checkpoints, meru_checkpoint, openclip_checkpoint, prolip_checkpoint

from hiereval.adapters.hf_clip import HFClip
from hiereval.adapters.towers import ALL, Part, Towers
from hiereval.errors import HierevalError
from hiereval.models import open_adapter
from hiereval.testing.loading import apart
from hiereval.types import LoadOptions

TEXTS = ("", "a bird", "A blue bird on a branch.", "two dogs in the snow")


def _openclip(folder: Path, config: dict[str, Any]) -> str:
    return f"local-dir:{openclip_checkpoint.write(folder, config)}"


def _meru(folder: Path, state: Callable[[], dict[str, torch.Tensor]]) -> Path:
    return meru_checkpoint.write(folder.with_suffix(".pth"), state())


# adapter, writer, what the names of both towers' parameters begin with
CLIP = ("text_model.", "text_projection."), ("vision_model.", "visual_projection.")
PLAIN = ("transformer.", "token_embedding.", "ln_final.", "positional_embedding", "text_projection")
SCALED = (
    ("textual.", "textual_alpha", "textual_concept_alphas."),
    ("visual.", "visual_proj.", "visual_alpha", "visual_concept_alphas."),
)
FAMILIES: dict[str, tuple[str, Callable[[Path], object], tuple[Any, Any]]] = {
    "clip": ("hf-clip", checkpoints.clip, CLIP),
    "half": ("hf-clip", partial(checkpoints.clip, dtype=torch.float16), CLIP),
    "metaclip2": ("hf-clip", checkpoints.metaclip2, CLIP),
    "altclip": ("hf-clip", checkpoints.altclip, CLIP),
    "chinese_clip": ("hf-clip", checkpoints.chinese_clip, CLIP),
    "align": ("hf-clip", checkpoints.align, CLIP),
    "flava": ("hf-clip", checkpoints.flava, (CLIP[0], ("image_model.", "image_projection."))),
    "dual": ("hf-clip", checkpoints.dual_encoder, CLIP),
    "siglip": ("siglip", checkpoints.siglip, (("text_model.",), ("vision_model.",))),
    "naflex": ("siglip", checkpoints.naflex, (("text_model.",), ("vision_model.",))),
    "blip": (
        "blip", checkpoints.blip,
        (("text_encoder.", "text_proj."), ("vision_model.", "vision_proj.")),
    ),
    "blip2": ("blip2", checkpoints.blip2, (("embeddings.", "qformer.", "text_proj"), ("",))),
    "bridgetower": (
        "bridgetower", checkpoints.bridgetower,
        (("bridgetower.text_model.", "itc_text_head."),
         ("bridgetower.vision_model.", "bridgetower.cross_modal_image_transform.",
          "bridgetower.token_type_embeddings.", "itc_image_head.")),
    ),
    "openclip": ("openclip", partial(_openclip, config=openclip_checkpoint.CLIP),
                 (PLAIN, ("visual.",))),
    "openclip-text": ("openclip", partial(_openclip, config=openclip_checkpoint.SIGLIP),
                      (("text.",), ("visual.",))),
    "meru": ("meru", partial(_meru, state=meru_checkpoint.state), SCALED),
    "phyclip": ("meru", partial(_meru, state=meru_checkpoint.phyclip), SCALED),
    "prolip": ("prolip", prolip_checkpoint.write, (("text.",), ("visual.",))),
}  # fmt: skip


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    base, made = tmp_path_factory.mktemp("towers"), dict[str, str]()

    def checkpoint(family: str) -> str:
        if family not in made:
            made[family] = str(FAMILIES[family][1](base / family))
        return made[family]

    return checkpoint


def _open(family: str, checkpoint: str, seed: int | None = None) -> Any:
    return open_adapter(f"{FAMILIES[family][0]}:{checkpoint}", LoadOptions(random_init=seed), {})


@pytest.mark.parametrize("family", list(FAMILIES))
def test_a_tower_alone(
    family: str, written: Callable[[str], str], pictures: list[Image.Image]
) -> None:
    """What is in memory is the tower's, all of it; the vectors are the whole network's."""
    whole = _open(family, written(family))
    sizes = {name: p.numel() for name, p in whole.towers.whole.named_parameters()}
    alone = {side: _open(family, written(family)) for side in ("text", "image")}
    read = alone["text"].encode_texts(TEXTS)
    seen = alone["image"].encode_images([whole.preprocess(p) for p in pictures])
    for side, starts in zip(alone, FAMILIES[family][2], strict=True):
        tower = getattr(alone[side].towers, side)
        held = {name: p.numel() for name, p in tower.named_parameters()}
        assert held == {name: n for name, n in sizes.items() if name.startswith(starts)}
        assert {p.dtype for p in tower.parameters()} == {torch.float32}
        assert not any(p.requires_grad for p in tower.parameters())
        assert not tower.training
    assert torch.equal(read, whole.encode_texts(TEXTS))
    assert torch.equal(seen, whole.encode_images([whole.preprocess(p) for p in pictures]))


@pytest.mark.parametrize("family", list(FAMILIES))
def test_a_random_twin_is_drawn_whole(family: str, written: Callable[[str], str]) -> None:
    """Its vectors do not depend on which tower is used first, or on whether one is."""
    checkpoint = written(family)
    twin = _open(family, checkpoint, seed=3)
    assert "of" in apart(lambda: _open(family, checkpoint, 3), TEXTS, twin.id.fingerprint())
    whole = _open(family, checkpoint, seed=3)
    assert whole.towers.whole is whole.towers.text
    assert torch.equal(twin.encode_texts(TEXTS), whole.encode_texts(TEXTS))


@pytest.mark.parametrize("family", list(FAMILIES))
def test_a_network_goes_with_its_adapter(family: str, written: Callable[[str], str]) -> None:
    """Twins follow each other: two networks in memory at once would be one too many."""
    adapter = _open(family, written(family))
    adapter.encode_texts(TEXTS)
    gc.collect()
    gc.disable()
    try:
        weights = weakref.ref(next(adapter.towers.text.parameters()))
        assert weights() is not None
        del adapter
        assert weights() is None
    finally:
        gc.enable()


def test_the_other_towers_weights_are_not_used(tmp_path: Path) -> None:
    """Texts need no value of the image tower, but every name of it, and no other."""
    folder = checkpoints.clip(tmp_path / "clip")
    file, good = folder / "model.safetensors", load_file(folder / "model.safetensors")
    wanted = HFClip(str(folder), LoadOptions()).encode_texts(TEXTS)
    spoiled = {k: v * torch.nan if k.startswith("vision") else v for k, v in good.items()}
    save_file(spoiled, file, metadata={"format": "pt"})
    assert torch.equal(HFClip(str(folder), LoadOptions()).encode_texts(TEXTS), wanted)
    name = "vision_model.post_layernorm.bias"
    for state, said in (
        ({k: v for k, v in good.items() if k != name}, f"1 missing ({name})"),
        ({**good, "vision_model.head.bias": good[name].clone()},
         "1 unexpected (vision_model.head.bias)"),
        ({**good, "text_model.head.bias": good[name].clone()},
         "1 unexpected (text_model.head.bias)"),
    ):  # fmt: skip
        save_file(state, file, metadata={"format": "pt"})
        with pytest.raises(HierevalError) as error:
            HFClip(str(folder), LoadOptions()).encode_texts(TEXTS)
        assert str(error.value) == (
            f"The weights of {str(folder)!r} must be exactly those of CLIPModel; keys: {said}."
        )


def test_the_whole_serves_both_once_it_is_there() -> None:
    loads: list[Part] = []

    def load(part: Part) -> object:
        loads.append(part)
        return object()

    towers = Towers(load, ("text.",), ("image.",))
    assert (towers.text, towers.image) == (towers.text, towers.image)
    assert loads == [Part(("text.",), ("image.",)), Part(("image.",), ("text.",))]
    assert towers.whole is towers.text is towers.image
    assert loads[2:] == [ALL]
    shared = Towers(load, ("text.",), None)
    assert shared.text is not shared.image
    assert shared.text is shared.image


def test_what_stays_must_have_values() -> None:
    network = torch.nn.ModuleDict({"a": torch.nn.Linear(2, 3), "b": torch.nn.Linear(2, 3)})
    part = Part(("a.",), ("a.weight",))
    with torch.no_grad():
        values = {k: part.value(k, v) for k, v in network.state_dict().items()}
    network.load_state_dict(values, assign=True)
    with pytest.raises(ValueError, match=r"^a\.weight has no values$"):
        part.cut(network)
