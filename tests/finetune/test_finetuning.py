from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from support.tuning import finetune

from hiereval.datasets import open_dataset
from hiereval.errors import HierevalError
from hiereval.finetune.batches import Order
from hiereval.finetune.finetuning import FinetuneConfig
from hiereval.finetune.output import Output, _Hashed
from hiereval.models import open_adapter
from hiereval.places import Places
from hiereval.types import DataOptions, LoadOptions

FAMILIES = ["hf-clip", "siglip", "blip", "openclip", "bridgetower", "dual-encoder"]
IMAGE_SIDE = ("vision_model.", "visual", "vision_proj.", "logit", "itm_head.")
Tune = Callable[..., Path]


def lines(path: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    (file,) = folder.glob("*.safetensors")
    return load_file(file)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_new_checkpoint_loads_again_with_its_images_unchanged(
    family: str, model: Callable[[str], str], tune: Tune
) -> None:
    out = tune(family, epochs=2)
    spec, _, folder = model(family).rpartition(":")
    old = open_adapter(model(family), LoadOptions(), {})
    new = open_adapter(f"{spec}:{out / 'model'}", LoadOptions(), {})
    picture = Image.linear_gradient("L").convert("RGB")
    images = [adapter.encode_images([adapter.preprocess(picture)]) for adapter in (old, new)]
    assert torch.equal(*images)
    texts = [adapter.encode_texts(["a small dog", ""]) for adapter in (old, new)]
    assert (texts[0] - texts[1]).norm(dim=1).min() > 1e-3
    before, after = weights(Path(folder)), weights(out / "model")
    assert before.keys() == after.keys()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert not [name for name in changed if name.startswith(IMAGE_SIDE)]
    assert old.id.config_sha256 == new.id.config_sha256
    assert old.id.tokenizer_fingerprint == new.id.tokenizer_fingerprint
    assert old.id.preprocess_fingerprint == new.id.preprocess_fingerprint
    assert old.id.weights_sha256 != new.id.weights_sha256
    assert new.id.name == "out"  # not "model", which every fine-tuned checkpoint would be


@pytest.mark.parametrize("family", FAMILIES)
def test_training_lowers_the_loss(family: str, tune: Tune) -> None:
    out = tune(family, epochs=6, validation=0.2, lr=3e-4)
    checks = lines(out / "validation.jsonl")
    assert checks[-1]["entail"] < checks[0]["entail"] - 0.05
    assert checks[0]["pullback"] == pytest.approx(0, abs=1e-6)


def test_the_losses_and_weights_are_those_of_a_plain_loop(
    model: Callable[[str], str], chains_csv: Path, tune: Tune
) -> None:
    """The released training script's steps, written out with transformers alone."""
    from transformers import AutoTokenizer, CLIPModel

    out = tune(lr=1e-5, epochs=2, seed=3)
    folder = model("hf-clip").partition(":")[2]
    clip = CLIPModel.from_pretrained(folder).train().requires_grad_(False)
    clip.text_model.requires_grad_(True)
    clip.text_projection.requires_grad_(True)
    frozen = CLIPModel.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    optimizer = torch.optim.AdamW(clip.parameters(), lr=1e-5)
    data: Any = open_dataset(str(chains_csv), DataOptions(places=Places.of(data_dir=Path())))
    order = Order(torch.arange(26).numpy(), 8, 1, 2, 3)
    found = []
    for ((rows),) in order.batches(0):
        chains = [data.chains[rows].T, data.negatives[rows].T]
        texts = [data.texts[i] for part in chains for i in part.reshape(-1)]
        tokens = tokenizer(texts, padding=True, truncation=True, max_length=77, return_tensors="pt")
        root = clip.get_text_features(**tokenizer("", return_tensors="pt")).pooler_output[0]
        root = root / root.norm()
        e = clip.get_text_features(**tokens).pooler_output
        e = e / e.norm(dim=-1, keepdim=True)
        with torch.no_grad():
            f = frozen.get_text_features(**tokens).pooler_output
            f = f / f.norm(dim=-1, keepdim=True)
        v = e.view(8, len(rows), -1)

        def angle(i: int, j: int, v: torch.Tensor = v, root: torch.Tensor = root) -> torch.Tensor:
            a, b = v[i] - root, v[j] - v[i]
            return ((a * b).sum(-1) / (a.norm(dim=-1) * b.norm(dim=-1))).clip(-1, 1).acos()

        p = torch.stack([angle(k, k + 1) for k in range(3)])
        n = torch.stack([-angle(k, k + 4) for k in range(3)])
        both = (p + n).ravel()
        pullback = (1 - (e * f).sum(-1).mean()) / 2
        hard = both[p.ravel().argmax()] + both[n.ravel().argmax()]
        loss = 10 * pullback + p.mean() + n.mean() + hard
        found.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert len(found) == 8
    assert [line["total"] for line in lines(out / "losses.jsonl")] == pytest.approx(found, abs=1e-5)
    new = weights(out / "model")
    for name, value in clip.state_dict().items():
        # attention ignores a bias of the keys: AdamW follows the rounding of its zero gradient
        free = 8e-5 if name.endswith("k_proj.bias") else 2.5e-6
        torch.testing.assert_close(new[name], value, rtol=0, atol=2 * free)


def test_the_card_says_what_was_done(tune: Tune) -> None:
    out = tune(epochs=2, validation=0.2, schedule="cosine", accumulate=2, clip=1.0)
    card = json.loads((out / "card.json").read_text())
    assert card["recipe"]["schedule"] == "cosine"
    assert card["steps"] == 4  # 21 chains in 3 batches, 2 steps an epoch
    assert card["data"] == {
        "name": "chains.csv",
        "split": "all",
        "sha256": card["data"]["sha256"],
        "chains": 26,
        "training": 21,
        "validation": 5,
        "images": [],
    }
    assert len(card["base"]["fingerprint"]) == 64
    log = lines(out / "losses.jsonl")
    assert [line["lr"] for line in log] == pytest.approx([1e-3, 8.5355e-4, 5e-4, 1.4645e-4], 1e-4)
    assert log[0]["pullback"] == pytest.approx(0, abs=1e-6)
    assert [line["step"] for line in lines(out / "validation.jsonl")] == [0, 4]
    with Image.open(out / "curves.png") as picture:
        assert picture.size == (1000, 600)
    assert not (out / "state.pt").exists()


def test_accumulated_batches_are_averaged(tune: Tune, tmp_path: Path) -> None:
    one = tune(out=tmp_path / "1", batch=13, accumulate=2, lr=1e-30)
    (step,) = lines(one / "losses.jsonl")
    two = lines(tune(out=tmp_path / "2", batch=13, lr=1e-30) / "losses.jsonl")
    assert len(two) == 2
    assert step["total"] == pytest.approx((two[0]["total"] + two[1]["total"]) / 2, abs=1e-6)


def test_bfloat16_trains_float32_weights(tune: Tune, tmp_path: Path) -> None:
    plain = lines(tune(out=tmp_path / "1", epochs=2, lr=1e-5) / "losses.jsonl")
    out = tune(out=tmp_path / "2", epochs=2, lr=1e-5, precision="bf16")
    half = lines(out / "losses.jsonl")
    assert [line["total"] for line in half] != [line["total"] for line in plain]
    for one, two in zip(plain, half, strict=True):
        assert two["entail"] == pytest.approx(one["entail"], abs=0.1)
    assert {value.dtype for value in weights(out / "model").values()} == {torch.float32}


def test_without_negatives_only_entailed_pairs_count(tune: Tune, tmp_path: Path) -> None:
    plain = tmp_path / "plain.csv"
    plain.write_text("captions\n" + "a => b => c => d\n" * 3 + "e => f => g => h\n")
    out = tune(train_data=str(plain), negatives=False)
    (line,) = lines(out / "losses.jsonl")
    assert line["entail"] > 0.5  # angles alone, nothing subtracted


# --- bad input -----------------------------------------------------------------------------------


def fails(message: str) -> pytest.RaisesExc[HierevalError]:
    return pytest.raises(HierevalError, match=f"^{re.escape(message)}$")


def test_a_folder_that_exists_is_refused(tune: Tune, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "precious").write_text("work")
    with fails(
        f"The output folder {str(out)!r} must be new or empty. --resume continues it, or name "
        "another folder."
    ):
        tune()
    assert (out / "precious").read_text() == "work"


def test_there_must_be_something_to_resume(tune: Tune, tmp_path: Path) -> None:
    with fails(
        f"The output folder {str(tmp_path / 'out')!r} must hold state.pt to be resumed. Leave out "
        "--resume to start."
    ):
        tune(resume=True)


def test_a_file_is_no_output_folder(tune: Tune, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with fails(f"The output {str(tmp_path / 'out')!r} must be a folder, not a file."):
        tune()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("a => b => c => d,e => f => g => h\n", "must have at least 2 chains; it has 1."),
        (None, "must have negatives (a contradicting chain for each chain: the column 'negative' "
         "of a CSV). 'hierarcaps-train' and 'shapes:train' do."),
    ],
)  # fmt: skip
def test_data_that_cannot_be_trained_on_is_refused(
    tune: Tune, tmp_path: Path, content: str | None, reason: str
) -> None:
    path = tmp_path / "few.csv"
    rows = f"positive,negative\n{content}" if content else "positive\n" + "a => b => c => d\n" * 2
    path.write_text(rows)
    with fails(f"The training data 'few.csv' {reason}"):
        tune(train_data=str(path))
    assert not (tmp_path / "out").exists()


def test_an_adapter_without_a_text_tower_is_refused(tune: Tune) -> None:
    with fails(
        "The adapter 'control' of 'control:words' must have a text tower that can be trained; "
        "these do: blip, bridgetower, hf-clip, openclip, siglip."
    ):
        tune(model="control:words")


@pytest.mark.parametrize(
    ("name", "value", "constraint"),
    [
        ("batch", 0, "at least 1"),
        ("save_every", 0, "at least 1"),
        ("lr", 0.0, "above 0 and finite"),
        ("lr", float("nan"), "above 0 and finite"),
        ("clip", -1.0, "at least 0 and finite"),
        ("validation", 1.0, "at least 0 and below 1"),
    ],
)
def test_wrong_hyper_parameters_are_refused(
    tune: Tune, name: str, value: float, constraint: str
) -> None:
    with fails(f"The --{name.replace('_', '-')} {value!r} must be {constraint}."):
        tune(**{name: value})


def test_a_loss_that_is_not_finite_stops_on_the_last_good_state(
    configure: Callable[..., FinetuneConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    from hiereval.adapters.hf_clip import HFClip

    config = configure(epochs=2, save_every=2)
    encode = HFClip.encode_texts
    seen: list[int] = []

    def spoiled(self: HFClip, texts: list[str]) -> torch.Tensor:
        vectors = encode(self, texts)
        if vectors.requires_grad and torch.is_grad_enabled() and len(texts) > 1:
            seen.append(len(texts))
            if len(seen) == 6:
                vectors = vectors * torch.tensor([[float("nan")]] + [[1.0]] * (len(texts) - 1))
        return vectors

    monkeypatch.setattr(HFClip, "encode_texts", spoiled)
    with pytest.raises(
        HierevalError,
        match=r"^The loss and its gradient must be finite; one is nan on the training rows "
        r"\d+(, \d+)* at step 6\. Training stopped; the state of step 5 is kept in '.*'\. "
        r"Check those rows, lower --lr or set --clip\.$",
    ):
        finetune(config)
    state = torch.load(config.out / "state.pt", weights_only=True)
    assert state["step"] == 5
    assert all(value.isfinite().all() for value in state["weights"].values())
    assert not (config.out / "model").exists()


def test_a_model_that_is_not_finite_is_refused_before_training(
    tune: Tune, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hiereval.adapters.hf_clip import HFClip

    encode = HFClip.encode_texts
    monkeypatch.setattr(HFClip, "encode_texts", lambda self, texts: encode(self, texts) * torch.inf)
    with pytest.raises(
        HierevalError, match=r"^The model 'hf-clip' must give finite vectors: the embedding "
    ):
        tune()


@pytest.mark.parametrize("fits", [0, 100, 10_000])
def test_a_full_disk_is_named_wherever_torch_comes_to_it(
    fits: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = Output(tmp_path / "out")
    output.open(resume=False)
    written = 0

    def write(self: object, content: bytes) -> int:
        nonlocal written
        if (written := written + len(content)) > fits:
            raise OSError(28, "No space left on device")
        return len(content)

    monkeypatch.setattr(_Hashed, "write", write)
    with fails(
        f"The output folder '{tmp_path}/out' cannot be written: [Errno 28] No space left on device."
    ):
        output.save_state({"a": torch.zeros(5000)}, {})
    assert list((tmp_path / "out").iterdir()) == []


def test_a_full_disk_keeps_the_last_state(
    tune: Tune, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    def fill(step: int, steps: int, losses: Any) -> None:
        if step == 2:  # the first state is there
            monkeypatch.setattr("os.fsync", full)

    with fails(
        f"The output folder {str(out)!r} cannot be written: [Errno 28] No space left on device. "
        "The last saved state is whole: free space, then --resume."
    ):
        tune(epochs=2, save_every=2, report=fill)
    assert torch.load(out / "state.pt", weights_only=True)["step"] == 2
    assert sorted(path.name for path in out.iterdir()) == ["losses.jsonl", "state.pt"]


def test_a_full_disk_at_the_end_leaves_no_half_model(
    tune: Tune, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hiereval.adapters.hf_clip import HFClip

    def full(self: HFClip, folder: Path) -> None:
        (folder / "config.json").write_text("{}")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(HFClip, "save", full)
        with pytest.raises(HierevalError, match=r"No space left on device\. The last saved state"):
            tune()
    assert not [path for path in (tmp_path / "out").iterdir() if "model" in path.name]
    assert (tune(resume=True) / "model" / "model.safetensors").is_file()
