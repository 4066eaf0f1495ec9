"""OpenCLIP: equal to open_clip's own encode_*, or refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from support import openclip_checkpoint

from hiereval.adapters.openclip import OpenClip
from hiereval.errors import HierevalError
from hiereval.geometry import normalise
from hiereval.types import LoadOptions

GOLDEN = [
    [0.24151, 0.21392, -0.114749],
    [0.226714, 0.230601, -0.090069],
    [-0.287827, 0.276056, -0.222491],
]
TEXTS = ["", "a bird", "A blue bird on a branch.", "two dogs, a ball \U0001f600 \0 x", "bird " * 99]
COMMIT = "0123456789abcdef0123456789abcdef01234567"
CONFIGS = {"clip": openclip_checkpoint.CLIP, "siglip": openclip_checkpoint.SIGLIP}
Folder = Callable[[str], Path]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    base = tmp_path_factory.mktemp("openclip")
    return {kind: openclip_checkpoint.write(base / kind, c) for kind, c in CONFIGS.items()}


@pytest.fixture
def spoiled(written: dict[str, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(written["clip"], tmp_path / "spoiled"))


def _open(folder: Path, **options: Any) -> OpenClip:
    return OpenClip(f"local-dir:{folder}", LoadOptions(**options))


def _refused(checkpoint: str, **options: Any) -> str:
    with pytest.raises(HierevalError) as caught:
        OpenClip(checkpoint, LoadOptions(**options)).encode_texts(["a bird"])
    return str(caught.value)


def _edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = folder / "open_clip_config.json"
    config = json.loads(path.read_text())
    change(config)
    path.write_text(json.dumps(config))


@pytest.mark.parametrize("kind", list(CONFIGS))
def test_equals_the_librarys_encoders(
    kind: str, written: dict[str, Path], pictures: list[Image.Image]
) -> None:
    folder = written[kind]
    adapter = _open(folder)
    import open_clip

    model, preprocess = open_clip.create_model_from_pretrained(f"local-dir:{folder}")
    tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}")
    model.eval()
    with torch.no_grad():
        text = model.encode_text(tokenizer(TEXTS))
        image = model.encode_image(torch.stack([preprocess(p) for p in pictures]))
    ours = adapter.encode_texts(TEXTS)
    seen = adapter.encode_images([adapter.preprocess(p) for p in pictures])
    assert ours.dtype == seen.dtype == torch.float32
    assert ours.norm(dim=1).std() > 1e-3  # raw, not normalised
    torch.testing.assert_close(ours, text, atol=1e-6, rtol=0)
    torch.testing.assert_close(seen, image, atol=1e-6, rtol=0)
    assert adapter.id.embed_dim == ours.shape[1] == 24


def test_texts_are_padded_and_cut_on_the_side_that_the_checkpoint_states(
    written: dict[str, Path], tmp_path: Path
) -> None:
    import open_clip

    folder = Path(shutil.copytree(written["siglip"], tmp_path / "left"))
    file = folder / "tokenizer_config.json"
    stated = {"padding_side": "left", "truncation_side": "left"}
    file.write_text(json.dumps({**json.loads(file.read_text()), **stated}))
    model = open_clip.create_model_from_pretrained(f"local-dir:{folder}", return_transform=False)
    ids = open_clip.get_tokenizer(f"local-dir:{folder}")(TEXTS)
    with torch.no_grad():
        expected = model.eval().encode_text(ids)
    found = _open(folder).encode_texts(TEXTS)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)
    assert not torch.allclose(found, _open(written["siglip"]).encode_texts(TEXTS), atol=1e-4)
    assert _open(folder).id.fingerprint() != _open(written["siglip"]).id.fingerprint()


def test_golden_vectors(written: dict[str, Path]) -> None:
    """Weights that are sines on every machine: the first coordinates, kept."""
    adapter = _open(written["clip"])
    picture = Image.linear_gradient("L").convert("RGB")
    text = normalise(adapter.encode_texts(["", "A blue bird on a branch."]))[:, :3]
    image = normalise(adapter.encode_images([adapter.preprocess(picture)]))[:, :3]
    expected = torch.tensor(GOLDEN)
    torch.testing.assert_close(torch.cat([text, image]), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", list(CONFIGS))
def test_vectors_depend_neither_on_the_batch_nor_on_its_order(
    kind: str, written: dict[str, Path]
) -> None:
    adapter = _open(written[kind])
    together = adapter.encode_texts(TEXTS)
    alone = torch.cat([adapter.encode_texts([text]) for text in TEXTS])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)
    torch.testing.assert_close(
        together.flip(0), adapter.encode_texts(TEXTS[::-1]), atol=1e-5, rtol=0
    )


def test_lengths_count_what_truncation_cuts(written: dict[str, Path]) -> None:
    clip, siglip = _open(written["clip"]), _open(written["siglip"])
    assert clip.text_lengths(["", "a bird", "bird " * 99]) == [2, 4, 101]
    assert siglip.text_lengths(["", "bird " * 99]) == [1, 100]
    assert (clip.id.context_length, siglip.id.context_length) == (77, 16)


def test_a_lost_end_token_is_an_error(written: dict[str, Path]) -> None:
    adapter = _open(written["clip"])
    adapter.tokenizer.reduction_fn = lambda texts, **_: torch.ones(len(texts), 77).long()
    with pytest.raises(HierevalError, match=r"^The text 'a bird' lost its end token"):
        adapter.encode_texts(["a bird"])


def test_identity(written: dict[str, Path], spoiled: Path) -> None:
    adapter = _open(written["clip"])
    assert adapter.id.name == "clip"
    assert adapter.id.n_params == sum(p.numel() for p in adapter.towers.whole.parameters())
    assert _open(spoiled).id.fingerprint() == adapter.id.fingerprint()  # a copy is the same model
    _edit(spoiled, lambda config: config["preprocess_cfg"].update(interpolation="bilinear"))
    assert _open(spoiled).id.fingerprint() != adapter.id.fingerprint()


def test_loading_is_lazy_and_evaluates(written: dict[str, Path]) -> None:
    adapter = _open(written["clip"])
    assert not {"model", "tokenizer", "transform"} & vars(adapter).keys()
    assert not any(module.training for module in adapter.towers.whole.modules())
    assert not any(parameter.requires_grad for parameter in adapter.towers.whole.parameters())


def test_random_init_needs_only_the_configuration(spoiled: Path) -> None:
    (spoiled / "open_clip_model.safetensors").unlink()
    one, same, other = (_open(spoiled, random_init=seed) for seed in (1, 1, 2))
    vectors = [a.encode_texts(TEXTS) for a in (one, same, other)]
    assert torch.equal(vectors[0], vectors[1])
    assert not torch.allclose(vectors[0], vectors[2], atol=1e-3)
    assert one.id.weights_sha256 is None
    assert one.id.fingerprint() == same.id.fingerprint() != other.id.fingerprint()


def test_half_precision(written: dict[str, Path]) -> None:
    """bf16 moves vectors a little, and they still come back in float32."""
    exact = _open(written["clip"]).encode_texts(TEXTS)
    rounded = _open(written["clip"], precision="bf16").encode_texts(TEXTS)
    assert rounded.dtype == torch.float32
    assert 1e-5 < (normalise(exact) - normalise(rounded)).norm(dim=1).max() < 0.1


def test_a_half_precision_checkpoint_computes_in_float32(spoiled: Path) -> None:
    from safetensors.torch import load_file, save_file

    path = spoiled / "open_clip_model.safetensors"
    save_file({key: value.half() for key, value in load_file(path).items()}, path)
    assert {p.dtype for p in _open(spoiled).towers.whole.parameters()} == {torch.float32}


@pytest.mark.parametrize("kind", list(CONFIGS))
def test_the_text_tower_trains_and_is_saved(
    kind: str, written: dict[str, Path], tmp_path: Path
) -> None:
    adapter = _open(written[kind])
    network, prefixes = adapter.text_tower()
    mine = {name for name, _ in network.named_parameters() if name.startswith(prefixes)}
    rest = {name for name, _ in network.named_parameters()} - mine
    assert all(name.startswith(("visual.", "logit_")) for name in rest)
    assert not any(name.startswith(("visual.", "logit_")) for name in mine)
    before = adapter.encode_texts(TEXTS)
    with torch.no_grad():
        next(p for n, p in network.named_parameters() if n in mine and p.ndim == 2).mul_(1.1)
    adapter.save(tmp_path)
    saved = _open(tmp_path)
    assert torch.equal(saved.encode_texts(TEXTS), adapter.encode_texts(TEXTS))
    assert not torch.allclose(saved.encode_texts(TEXTS), before, atol=1e-3)
    kept = {"preprocess_fingerprint", "tokenizer_fingerprint", "config_sha256"}
    assert all(getattr(saved.id, name) == getattr(adapter.id, name) for name in kept)


def test_a_strip_is_not_blown_up_before_the_crop(spoiled: Path) -> None:
    """A strip of 1 x 4000 resized to 32 pixels in width would be 128,000 pixels long."""
    _edit(spoiled, lambda config: config["preprocess_cfg"].update(resize_mode="shortest"))
    adapter = _open(spoiled)
    seen = []
    transform = adapter.transform
    adapter.transform = lambda picture: seen.append(picture.size) or transform(picture)
    assert adapter.preprocess(Image.new("L", (1, 4000))).shape == (3, 32, 32)
    assert seen == [(1, 16)]


# --- refusals ------------------------------------------------------------------------------------


def test_without_weights(spoiled: Path) -> None:
    (spoiled / "open_clip_model.safetensors").unlink()
    assert _refused(f"local-dir:{spoiled}") == (
        f"The checkpoint 'local-dir:{spoiled}' must hold open_clip_model.safetensors or "
        "open_clip_pytorch_model.safetensors or open_clip_pytorch_model.bin or "
        "open_clip_pytorch_model.pth. '--random-init SEED' measures the architecture without "
        "weights."
    )
    with pytest.raises(HierevalError, match=r"^The checkpoint 'ViT-B-32' must name its weights"):
        OpenClip("ViT-B-32", LoadOptions())


def test_a_bare_weight_file(spoiled: Path) -> None:
    file = spoiled / "open_clip_model.safetensors"
    for checkpoint, name in ((str(file), "NAME"), (f"ViT-B-32/{file}", "ViT-B-32")):
        assert _refused(checkpoint) == (
            f"The checkpoint {checkpoint!r} must be given as 'local-dir:FOLDER', a folder with "
            "open_clip_config.json; it is a bare weight file, and its preprocessing would be "
            f"guessed. 'hiereval convert {file} --architecture {name} --out FOLDER' makes one."
        )


@pytest.mark.parametrize(
    ("checkpoint", "wanted"),
    [
        ("ViT-B-32/openai", "ViT-B-32-quickgelu/openai"),
        ("ViT-H-14/dfn5b", "ViT-H-14-quickgelu/dfn5b"),
    ],
)
def test_the_wrong_activation(checkpoint: str, wanted: str) -> None:
    assert _refused(checkpoint) == (
        f"The architecture of {checkpoint!r} must have the activation that the tag was trained "
        f"with (QuickGELU, not GELU). Did you mean '{wanted}'?"
    )


def test_unknown_names() -> None:
    assert "Did you mean 'ViT-B-32'?" in _refused("vit-b32/laion2b_s34b_b79k")
    message = _refused("ViT-B-32/laion2b_s34b_b79")
    assert message.startswith("The tag 'laion2b_s34b_b79' of 'ViT-B-32' must be one of openai, ")
    assert message.endswith("Did you mean 'laion2b_s34b_b79k'?")
    assert _refused("local-dir:/nowhere") == (
        "The folder '/nowhere' of 'local-dir:/nowhere' must exist."
    )


def test_an_unknown_tokenizer(spoiled: Path, written: dict[str, Path], tmp_path: Path) -> None:
    """open_clip would take CLIP's 77-token BPE, or ask the hub."""
    _edit(spoiled, lambda config: config["model_cfg"]["text_cfg"].update(vocab_size=32000))
    assert _refused(f"local-dir:{spoiled}") == (
        f"The configuration of 'local-dir:{spoiled}' must name its tokenizer "
        "(text_cfg.hf_tokenizer_name): its 32,000 tokens are not CLIP's 49,408."
    )
    folder = Path(shutil.copytree(written["siglip"], tmp_path / "siglip"))
    for file in ("tokenizer.json", "spiece.model", "tokenizer.model"):
        (folder / file).unlink(missing_ok=True)
    assert _refused(f"local-dir:{folder}").startswith(
        f"The folder of 'local-dir:{folder}' must hold the tokenizer of 'timm/ViT-B-16-SigLIP'"
    )


def test_a_configuration_without_preprocessing(spoiled: Path) -> None:
    _edit(spoiled, lambda config: config.pop("preprocess_cfg"))
    assert _refused(f"local-dir:{spoiled}") == (
        f"The file '{spoiled}/open_clip_config.json' must hold preprocess_cfg with mean and std: "
        "without it OpenAI's would be taken."
    )


def test_a_transformers_folder(checkpoint: Folder) -> None:
    folder = checkpoint("clip")
    assert _refused(f"local-dir:{folder}").endswith(
        f"must hold open_clip_config.json. It is in transformers' format: 'hf-clip:{folder}'."
    )


def test_weights_that_do_not_fit(spoiled: Path) -> None:
    from safetensors.torch import load_file, save_file

    path = spoiled / "open_clip_model.safetensors"
    whole = load_file(path)
    save_file({**whole, "extra": torch.ones(1)}, path)
    assert 'Unexpected key(s) in state_dict: "extra".' in _refused(f"local-dir:{spoiled}")
    save_file({key: value for key, value in whole.items() if key != "text_projection"}, path)
    assert 'Missing key(s) in state_dict: "text_projection".' in _refused(f"local-dir:{spoiled}")
    save_file(whole, path)
    _edit(spoiled, lambda config: config["model_cfg"]["vision_cfg"].update(image_size=64))
    assert _refused(f"local-dir:{spoiled}") == (
        f"The weights of 'local-dir:{spoiled}' must be exactly those of its configuration: "
        "size mismatch for visual.positional_embedding: copying a param with shape "
        "torch.Size([17, 32]) from checkpoint, the shape in current model is torch.Size([65, 32])."
    )


def test_pickles_load_as_weights_alone(tmp_path: Path) -> None:
    folder = openclip_checkpoint.write(tmp_path / "bin", safe=False)
    assert _open(folder).encode_texts(["a bird"]).shape == (1, 24)
    file = folder / "open_clip_pytorch_model.bin"
    torch.save({"state_dict": {}, "code": Path("x")}, file)
    assert _refused(f"local-dir:{folder}") == (
        f"The file {str(file)!r} must hold a dictionary of tensors, alone or under 'state_dict' or "
        "'model'."
    )


# --- the hub -------------------------------------------------------------------------------------


@pytest.fixture
def cached(
    written: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[dict[str, Any]], None]:
    """Put the checkpoint into a hub cache as `someone/tiny`, and into open_clip's tables."""
    repository = tmp_path / "hub" / "models--someone--tiny"
    shutil.copytree(written["clip"], repository / "snapshots" / COMMIT)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))

    def table(settings: dict[str, Any]) -> None:
        import open_clip

        monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "Tiny", openclip_checkpoint.CLIP)
        entry = {"made": {"hf_hub": "someone/tiny/", **settings}}
        monkeypatch.setitem(open_clip.pretrained._PRETRAINED, "Tiny", entry)

    return table


def test_a_tag_is_its_repository_at_one_commit(
    cached: Callable[[dict[str, Any]], None], written: dict[str, Path], pictures: list[Image.Image]
) -> None:
    cached({**openclip_checkpoint.PREPROCESS})
    adapter = OpenClip("Tiny/made", LoadOptions(revision=COMMIT))
    assert (adapter.id.revision, adapter.id.name) == (COMMIT, "Tiny/made")
    local = _open(written["clip"])
    assert torch.equal(adapter.encode_texts(TEXTS), local.encode_texts(TEXTS))
    pixels = [adapter.preprocess(picture) for picture in pictures]
    assert all(torch.equal(a, local.preprocess(b)) for a, b in zip(pixels, pictures, strict=True))


def test_a_hub_configuration_with_the_wrong_activation(
    cached: Callable[[dict[str, Any]], None],
) -> None:
    cached({"quick_gelu": True})
    assert _refused("hf-hub:someone/tiny") == (
        "The configuration of 'hf-hub:someone/tiny' must have the activation of the tag 'made' "
        "(QuickGELU, not GELU)."
    )


def test_what_is_not_cached_is_named(cached: Callable[[dict[str, Any]], None]) -> None:
    assert _refused("ViT-B-32/laion2b_s34b_b79k") == (
        "The checkpoint 'laion/CLIP-ViT-B-32-laion2B-s34B-b79K' must be in the cache, because "
        "this run is offline. 'hiereval download openclip:ViT-B-32/laion2b_s34b_b79k' fetches it "
        "where there is a network."
    )
