"""Train the toy: a small CLIP, from scratch, by plain contrastive loss on the shapes' train split.

    python -m hiereval.toy.train --out DIR

Each step pairs every picture of the batch with one caption of its chain, the tier drawn by lot.
Nothing else is trained on: no tier label, no root, no negatives. The folder that comes out is the
ordinary on-disk format of transformers. The seed fixes every weight on a given machine.
"""

from __future__ import annotations

import argparse
import io
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from hiereval.places import Places
from hiereval.toy.drawing import SIDE
from hiereval.toy.shapes import shapes
from hiereval.types import Chains, DataOptions


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that the weights depend on, the data apart."""

    seed: int = 0
    steps: int = 900
    batch: int = 256
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    warmup: int = 100  # steps
    scale: float = 100.0  # the most that similarities are multiplied by; its start is 14.3
    width: int = 64  # of both towers and of the joint space
    vision_layers: int = 3
    text_layers: int = 2
    heads: int = 4
    patch: int = 12  # pixels
    threads: int = 1


def make_tokenizer(captions: list[str], vocabulary: int = 900) -> Any:
    """Return a CLIP tokenizer with all 256 bytes, so it can spell any text, and BPE merges learned
    on the captions. The special tokens come last, as in CLIP; padding is the end token."""
    import json

    from tokenizers import Tokenizer
    from tokenizers.models import BPE
    from tokenizers.pre_tokenizers import ByteLevel
    from tokenizers.trainers import BpeTrainer
    from transformers import CLIPTokenizer

    special = ["<|startoftext|>", "<|endoftext|>"]
    alphabet = sorted(ByteLevel.alphabet())
    blank = CLIPTokenizer().backend_tokenizer
    learner = Tokenizer(BPE(end_of_word_suffix="</w>"))
    learner.normalizer, learner.pre_tokenizer = blank.normalizer, blank.pre_tokenizer
    ends = [letter + "</w>" for letter in alphabet]
    trainer = BpeTrainer(
        vocab_size=vocabulary,
        initial_alphabet=alphabet,
        end_of_word_suffix="</w>",
        special_tokens=ends,  # numbered here: the learner numbers them anew each time, ties follow
        show_progress=False,
    )
    learner.train_from_iterator(captions, trainer)
    merges: Any = [tuple(pair) for pair in json.loads(learner.to_str())["model"]["merges"]]
    words = [*alphabet, *ends, *("".join(m) for m in merges)]
    vocab = {token: i for i, token in enumerate(dict.fromkeys((*words, *special)))}
    return CLIPTokenizer(vocab=vocab, merges=merges, model_max_length=77)


def make_model(recipe: Recipe, tokenizer: Any) -> Any:
    """Return a randomly initialised CLIPModel for this tokenizer."""
    from transformers import CLIPConfig, CLIPModel

    torch.manual_seed(recipe.seed)
    shared = {
        "hidden_size": recipe.width,
        "intermediate_size": 4 * recipe.width,
        "num_attention_heads": recipe.heads,
        "projection_dim": recipe.width,
    }
    text = {
        "vocab_size": len(tokenizer),
        "num_hidden_layers": recipe.text_layers,
        "max_position_embeddings": tokenizer.model_max_length,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    vision = {
        "image_size": SIDE,
        "patch_size": recipe.patch,
        "num_hidden_layers": recipe.vision_layers,
    }
    config = CLIPConfig(
        text_config=shared | text,
        vision_config=shared | vision,
        projection_dim=recipe.width,
    )
    return CLIPModel(config)


def make_processor() -> Any:
    """Return the image processor: pictures of any size to 48 x 48, channels to about [-1, 1]."""
    from transformers import CLIPImageProcessor

    return CLIPImageProcessor(
        size={"shortest_edge": SIDE},
        crop_size={"height": SIDE, "width": SIDE},
        image_mean=[0.5, 0.5, 0.5],
        image_std=[0.5, 0.5, 0.5],
    )


def load_pixels(data: Chains) -> Tensor:
    """Return all pictures [i, 3, 48, 48] as the processor would: they have its size already."""
    pixels = [np.asarray(Image.open(io.BytesIO(image.read()))) for image in data.images]
    return torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).float() / 127.5 - 1.0


def batches(n: int, recipe: Recipe) -> Iterator[Tensor]:
    """Yield `steps` batches of row numbers, each epoch in a new order."""
    generator = torch.Generator().manual_seed(recipe.seed)
    order = torch.empty(0, dtype=torch.long)
    for _ in range(recipe.steps):
        if len(order) < recipe.batch:
            order = torch.randperm(n, generator=generator)
        batch, order = order[: recipe.batch], order[recipe.batch :]
        yield batch


def rate(step: int, recipe: Recipe) -> float:
    """Return the share of the full learning rate: linear warm-up, then half a cosine to zero."""
    if step < recipe.warmup:
        return (step + 1) / recipe.warmup
    done = (step - recipe.warmup) / max(1, recipe.steps - recipe.warmup)
    return float(0.5 * (1 + np.cos(np.pi * done)))


def train(model: Any, tokenizer: Any, data: Chains, recipe: Recipe, progress: bool = True) -> None:
    """Train in place on pairs of a picture and one caption of its chain, any tier."""
    pixels = load_pixels(data)
    tokens = tokenizer(list(data.texts), padding=True, return_tensors="pt")
    chains = torch.from_numpy(data.chains)
    generator = torch.Generator().manual_seed(recipe.seed + 1)
    optimizer = torch.optim.AdamW(
        model.parameters(), recipe.learning_rate, (0.9, 0.98), weight_decay=recipe.weight_decay
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate(step, recipe))
    model.train()
    start = time.perf_counter()
    for step, rows in enumerate(batches(len(pixels), recipe)):
        tier = torch.randint(chains.shape[1], (len(rows),), generator=generator)
        captions = chains[rows, tier]
        length = int(tokens["attention_mask"][captions].sum(1).max())
        loss = model(
            input_ids=tokens["input_ids"][captions, :length],
            attention_mask=tokens["attention_mask"][captions, :length],
            pixel_values=pixels[rows],
            return_loss=True,
        ).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            model.logit_scale.clamp_(max=float(np.log(recipe.scale)))
        if progress and (step % 20 == 0 or step == recipe.steps - 1):
            seconds = time.perf_counter() - start
            end = "\n" if step == recipe.steps - 1 else ""
            at = f"\rstep {step + 1:,} of {recipe.steps:,}"
            print(f"{at}  loss {loss.item():.3f}  {seconds:.0f} s", end=end, file=sys.stderr)


def make_checkpoint(data: Chains, out: Path, recipe: Recipe, progress: bool = True) -> None:
    """Train by the recipe and write the checkpoint to `out`."""
    torch.set_num_threads(recipe.threads)
    torch.use_deterministic_algorithms(True)
    tokenizer = make_tokenizer([data.texts[i] for i in data.pool])
    model = make_model(recipe, tokenizer)
    train(model, tokenizer, data, recipe, progress)
    for part in (model, tokenizer, make_processor()):
        part.save_pretrained(out)


def main() -> None:
    """Parse the command line and train."""
    parser = argparse.ArgumentParser(
        prog="python -m hiereval.toy.train", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for the checkpoint")
    parser.add_argument("--steps", type=int, default=Recipe.steps)
    parser.add_argument("--seed", type=int, default=Recipe.seed)
    given = parser.parse_args()
    data = shapes(DataOptions(places=Places.of(data_dir=given.out), split="train"))
    make_checkpoint(data, given.out, Recipe(seed=given.seed, steps=given.steps))


if __name__ == "__main__":
    main()
