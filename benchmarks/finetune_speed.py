"""Steps a second and memory of fine-tuning, beside a plain loop of the released recipe.

    python benchmarks/finetune_speed.py [--device cuda] [--towers b32,l14] [--batches 8,256]
        [--precision fp32,bf16] [--steps 20] [--chains hierarcaps-train]

Towers have the size of CLIP ViT-B/32's and ViT-L/14's text side and random weights; the image
side is a stub, it is never run. The plain loop is the released training script's: no fused root,
every caption encoded whether it repeats or not, a second copy of the tower for the pullback.
Each is warmed up, then timed in turn, several times; the best of each is printed.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hiereval.datasets import open_dataset
from hiereval.finetune.distributed import Group
from hiereval.finetune.loop import Material, Training
from hiereval.finetune.recipe import Recipe
from hiereval.finetune.tower import TextTower
from hiereval.geometry import normalise
from hiereval.models import open_adapter
from hiereval.types import Chains, DataOptions, LoadOptions

TOWERS = {  # hidden size, layers, heads, joint space
    "tiny": (32, 2, 2, 24),
    "b32": (512, 12, 8, 512),
    "l14": (768, 12, 12, 768),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--towers", default="b32,l14")
    parser.add_argument("--batches", default="8,256")
    parser.add_argument("--precision", default="fp32,bf16")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--chains", default="shapes:train")
    given = parser.parse_args()
    data: Any = open_dataset(given.chains, DataOptions())
    print(f"{given.device}, {given.steps} steps, best of {given.repeats}, {data.name}")
    print("| tower | precision | batch | plain steps/s | plain GiB | ours steps/s | ours GiB | x |")
    print("|---|---|---|---|---|---|---|---|")
    for tower in given.towers.split(","):
        with tempfile.TemporaryDirectory() as folder:
            checkpoint = write(Path(folder), *TOWERS[tower])
            for precision in given.precision.split(","):
                for batch in map(int, given.batches.split(",")):
                    row = compare(checkpoint, data, precision, batch, given)
                    print(f"| {tower} | {precision} | {batch} | {row} |", flush=True)


def compare(
    checkpoint: Path, data: Chains, precision: str, batch: int, given: argparse.Namespace
) -> str:
    """Return the plain loop's and our speed and memory, and the ratio of speeds."""
    makers = {"plain": Plain, "ours": Ours}
    best, memory = {}, {}
    for name, make in makers.items():
        run = make(checkpoint, data, precision, batch, given.device)
        seconds = [timed(run.step, given) for _ in range(given.repeats + 1)][1:]
        best[name], memory[name] = given.steps / min(seconds), peak(given.device)
        del run
    ratio = best["ours"] / best["plain"]
    return " | ".join([*(f"{best[name]:.2f} | {memory[name]}" for name in makers), f"{ratio:.2f}"])


def timed(step: Callable[[int], object], given: argparse.Namespace) -> float:
    cuda = given.device.startswith("cuda")
    if cuda:
        torch.cuda.synchronize()
    started = time.perf_counter()
    for number in range(given.steps):
        step(number)
    if cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - started


def peak(device: str) -> str:
    """Return the most GPU memory since the last call, in GiB."""
    if not device.startswith("cuda"):
        return "n/a"
    used = torch.cuda.max_memory_allocated() / 2**30
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    return f"{used:.2f}"


def rows_of(data: Chains, batch: int, step: int) -> list[int]:
    return [(step * batch + i) % len(data.chains) for i in range(batch)]


class Ours:
    """The fine-tuning loop of hiereval."""

    def __init__(
        self, checkpoint: Path, data: Chains, precision: str, batch: int, device: str
    ) -> None:
        options = LoadOptions(device=device, precision=precision)  # type: ignore[arg-type]
        adapter: Any = open_adapter(f"hf-clip:{checkpoint}", options, {})
        tower = TextTower(adapter)
        frozen = torch.randn(len(data.texts), adapter.id.embed_dim)  # as read from the store
        train = torch.arange(len(data.chains)).numpy()
        material = Material(data, normalise(frozen), train, train[:0], True)
        self.training = Training(tower, material, Recipe(batch=batch), Group())
        tower.network.train()
        self.data, self.batch = data, batch

    def step(self, number: int) -> None:
        self.training._update([rows_of(self.data, self.batch, number)])
        self.training.step += 1


class Plain:
    """The released recipe, step by step."""

    def __init__(
        self, checkpoint: Path, data: Chains, precision: str, batch: int, device: str
    ) -> None:
        from transformers import AutoTokenizer, CLIPModel

        self.clip = CLIPModel.from_pretrained(checkpoint).to(device).train().requires_grad_(False)
        self.clip.text_model.requires_grad_(True)
        self.clip.text_projection.requires_grad_(True)
        self.frozen = CLIPModel.from_pretrained(checkpoint).to(device).eval()
        self.tokenizer = AutoTokenizer.from_pretrained(checkpoint)
        self.optimizer = torch.optim.AdamW(self.clip.parameters(), lr=1e-7)
        self.cast = torch.autocast(
            torch.device(device).type, torch.bfloat16, enabled=precision == "bf16"
        )
        self.data, self.batch, self.device = data, batch, device

    def step(self, number: int) -> None:
        rows = rows_of(self.data, self.batch, number)
        assert self.data.negatives is not None
        chains = [self.data.chains[rows].T, self.data.negatives[rows].T]
        texts = [self.data.texts[i] for part in chains for i in part.reshape(-1)]
        root = self.encode(self.clip, [""])[0]
        vectors = self.encode(self.clip, texts)
        with torch.no_grad():
            frozen = self.encode(self.frozen, texts)
        loss = released(vectors.view(8, len(rows), -1), root, frozen)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        loss.item()

    def encode(self, model: nn.Module, texts: Sequence[str]) -> Tensor:
        tokens = self.tokenizer(
            list(texts), padding=True, truncation=True, max_length=77, return_tensors="pt"
        ).to(self.device)
        with self.cast:
            vectors = model.get_text_features(**tokens).pooler_output  # type: ignore[operator]
        return normalise(vectors.float())


def released(v: Tensor, root: Tensor, frozen: Tensor) -> Tensor:
    """Return the released total loss of [8, b, d] unit vectors."""

    def angle(i: int, j: int) -> Tensor:
        a, b = v[i] - root, v[j] - v[i]
        return ((a * b).sum(-1) / (a.norm(dim=-1) * b.norm(dim=-1))).clip(-1, 1).acos()

    p = torch.stack([angle(k, k + 1) for k in range(3)])
    n = torch.stack([-angle(k, k + 4) for k in range(3)])
    both = (p + n).ravel()
    pullback = (1 - (v.flatten(0, 1) * frozen).sum(-1).mean()) / 2
    hard = both[p.ravel().argmax()] + both[n.ravel().argmax()]
    return 10 * pullback + p.mean() + n.mean() + hard


def write(folder: Path, width: int, layers: int, heads: int, joint: int) -> Path:
    """Write a CLIP with this text tower, random weights and CLIP's own vocabulary."""
    from open_clip.tokenizer import SimpleTokenizer
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPTokenizer

    bpe = SimpleTokenizer()
    rename = {"<start_of_text>": "<|startoftext|>", "<end_of_text>": "<|endoftext|>"}
    vocabulary = {rename.get(token, token): i for token, i in bpe.encoder.items()}
    merges = [pair for pair, _ in sorted(bpe.bpe_ranks.items(), key=lambda item: item[1])]
    CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=77).save_pretrained(folder)
    text = {
        "hidden_size": width,
        "intermediate_size": 4 * width,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "vocab_size": 49408,
        "max_position_embeddings": 77,
        "bos_token_id": 49406,
        "eos_token_id": 49407,
        "pad_token_id": 49407,
        "projection_dim": joint,
    }
    stub = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 32}
    torch.manual_seed(0)
    config = CLIPConfig(text_config=text, vision_config=stub, projection_dim=joint)
    CLIPModel(config).save_pretrained(folder)
    CLIPImageProcessor().save_pretrained(folder)
    return folder


if __name__ == "__main__":
    main()
