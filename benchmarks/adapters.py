"""Full-size architectures with random weights over HierarCaps: memory and speed of the adapters.

    python benchmarks/adapters.py --data-dir DATA [--only clip-b32,blip] [--precision bf16]

Every architecture runs in a process of its own through the pipeline of `hiereval run` (decode,
preprocess, encode, store), from a folder that holds the configuration, a tokenizer and the image
processor's settings; the weights are random (--random-init 0). Tokenizers other than CLIP's are
made from the captions, so their token counts are near the real ones, not equal to them. Prints a
Markdown table; where other work shares the machine, the figures per second of one core's time
still hold.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))


def _clip(folder: Path, captions: Sequence[str], text: dict[str, Any], **vision: Any) -> None:
    from support.checkpoints import clip_processor, clip_tokenizer
    from transformers import CLIPConfig

    width = text.get("hidden_size", 512)
    config = CLIPConfig(text_config=text, vision_config=vision, projection_dim=width)
    config.save_pretrained(folder)
    clip_processor(folder, side=224)
    clip_tokenizer(folder)


def clip_b32(folder: Path, captions: Sequence[str]) -> None:
    _clip(folder, captions, {})


def clip_l14(folder: Path, captions: Sequence[str]) -> None:
    text = {"hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12}
    large = {"hidden_size": 1024, "intermediate_size": 4096, "num_attention_heads": 16}
    _clip(folder, captions, text, **large, num_hidden_layers=24, patch_size=14)


def _siglip(folder: Path, side: int, text: dict[str, Any], vision: dict[str, Any]) -> None:
    from transformers import SiglipConfig, SiglipImageProcessor

    ends = {"bos_token_id": 2, "eos_token_id": 1}
    config = SiglipConfig(text_config={**ends, **text}, vision_config=vision)
    config.save_pretrained(folder)
    SiglipImageProcessor(size={"height": side, "width": side}).save_pretrained(folder)


def siglip_base(folder: Path, captions: Sequence[str]) -> None:
    from support.checkpoints import siglip_tokenizer

    siglip_tokenizer(folder, captions, size=4000)
    _siglip(folder, 224, {}, {})


def siglip_so400m(folder: Path, captions: Sequence[str]) -> None:
    from support.checkpoints import siglip_tokenizer

    siglip_tokenizer(folder, captions, size=4000)
    shape = {
        "hidden_size": 1152,
        "intermediate_size": 4304,
        "num_hidden_layers": 27,
        "num_attention_heads": 16,
    }
    _siglip(folder, 384, shape, {**shape, "patch_size": 14, "image_size": 384})


def siglip2_base(folder: Path, captions: Sequence[str]) -> None:
    from support.checkpoints import gemma_tokenizer

    gemma_tokenizer(folder, captions, size=4000)
    _siglip(folder, 224, {"vocab_size": 256_000}, {})


def siglip2_naflex(folder: Path, captions: Sequence[str]) -> None:
    from support.checkpoints import gemma_tokenizer
    from transformers import Siglip2Config, Siglip2ImageProcessor

    gemma_tokenizer(folder, captions, size=4000)
    ends = {"bos_token_id": 2, "eos_token_id": 1}
    Siglip2Config(text_config={"vocab_size": 256_000, **ends}).save_pretrained(folder)
    Siglip2ImageProcessor().save_pretrained(folder)


def blip_base(folder: Path, captions: Sequence[str]) -> None:
    from support.checkpoints import bert_tokenizer
    from transformers import BlipConfig, BlipImageProcessor

    bert_tokenizer(folder, captions)
    BlipConfig(
        text_config={"num_attention_heads": 12},
        vision_config={"initializer_range": 0.02},
        image_text_hidden_size=256,
    ).save_pretrained(folder)
    BlipImageProcessor().save_pretrained(folder)


def align(folder: Path, captions: Sequence[str]) -> None:
    from support.checkpoints import bert_tokenizer
    from transformers import AlignConfig, EfficientNetImageProcessor

    bert_tokenizer(folder, captions)
    AlignConfig(vision_config={"image_size": 289, "hidden_dim": 640}).save_pretrained(folder)
    EfficientNetImageProcessor(
        do_center_crop=True, rescale_offset=True, include_top=False, resample=2
    ).save_pretrained(folder)


def _named(checkpoint: str) -> Callable[[Path, Sequence[str]], str]:
    """Return a writer of nothing, for adapters that know their architectures by name."""
    return lambda folder, captions: checkpoint


# name -> (what it is, adapter, its folder's writer)
ARCHITECTURES: dict[str, tuple[str, str, Callable[[Path, Sequence[str]], str | None]]] = {
    "clip-b32": ("CLIP ViT-B/32", "hf-clip", clip_b32),
    "clip-l14": ("CLIP ViT-L/14", "hf-clip", clip_l14),
    "siglip-base": ("SigLIP base, 224", "siglip", siglip_base),
    "siglip-so400m": ("SigLIP so400m, 384", "siglip", siglip_so400m),
    "siglip2-base": ("SigLIP 2 base, 224", "siglip", siglip2_base),
    "siglip2-naflex": ("SigLIP 2 base NaFlex, 256 patches", "siglip", siglip2_naflex),
    "blip": ("BLIP base, 384", "blip", blip_base),
    "align": ("ALIGN base (EfficientNet-B7), 289", "hf-clip", align),
    "openclip-b32": ("OpenCLIP ViT-B/32", "openclip", _named("ViT-B-32")),
    "openclip-h14": ("OpenCLIP ViT-H/14", "openclip", _named("ViT-H-14")),
    "meru-b16": ("MERU ViT-B/16", "meru", _named("vit-b")),
    "meru-l16": ("MERU ViT-L/16", "meru", _named("vit-l")),
}


def measure(name: str, data: Path, chains: int, precision: Any) -> dict[str, Any]:
    """Run one architecture in this process."""
    from PIL import Image

    from hiereval import registry
    from hiereval.datasets import head, open_dataset
    from hiereval.embed import embed
    from hiereval.store import Store
    from hiereval.types import DataOptions, LoadOptions

    title, adapter_name, write = ARCHITECTURES[name]
    from hiereval.places import Places

    whole = open_dataset("hierarcaps", DataOptions(places=Places.of(data_dir=data)))
    dataset = head(whole, chains)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, name)
        folder.mkdir()
        checkpoint = write(folder, whole.texts) or str(folder)
        options = LoadOptions(random_init=0, precision=precision)
        adapter = registry.load("adapters", adapter_name)(checkpoint, options)
        started = time.perf_counter()
        adapter.encode_texts(["a bird"])  # loads the network
        adapter.encode_images([adapter.preprocess(Image.new("RGB", (8, 8)))])
        loaded = time.perf_counter() - started
        store, clock = Store(Path(scratch)), time.process_time
        busy = [clock()]
        _, texts = embed(adapter, dataset, images=False, store=store)
        busy.append(clock())
        vectors, images = embed(adapter, dataset, images=True, store=store)
        busy.append(clock())
    for part in (vectors.text, vectors.image):
        assert part is not None
        assert part.isfinite().all()
        assert part.shape[1] == adapter.id.embed_dim
        assert len(part.unique(dim=0)) > 0.9 * len(part)
    return {
        "architecture": title,
        "parameters": sum(p.numel() for p in adapter.model.parameters()) / 1e6,
        "precision": precision,
        "load_s": loaded,
        "images": images.n_images,
        "images_per_s": images.images_per_s,
        "images_per_core_s": images.n_images / (busy[2] - busy[1]),
        "texts": texts.n_texts,
        "texts_per_s": texts.texts_per_s,
        "texts_per_core_s": texts.n_texts / (busy[1] - busy[0]),
        "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
    }


def main() -> None:
    """Measure each architecture in a fresh process and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data-dir", type=Path, default=os.environ.get("HIEREVAL_DATA"))
    parser.add_argument("--only", default=",".join(ARCHITECTURES))
    parser.add_argument("--precision", default="fp32")
    parser.add_argument(
        "--chains", type=int, default=64, help="of HierarCaps: images, a quarter of the texts"
    )
    parser.add_argument("--one", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(measure(given.one, given.data_dir, given.chains, given.precision)))
        return
    print(f"{time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores, {_processor()}, float32 weights")
    print(
        "\n| architecture | parameters (M) | precision | images | images/s | per core s | texts "
        "| texts/s | per core s | load (s) | peak memory (GB) |"
    )
    print("|---|--:|---|--:|--:|--:|--:|--:|--:|--:|--:|")
    for name in given.only.split(","):
        arguments = ["--one", name, "--data-dir", given.data_dir, "--chains", given.chains]
        done = subprocess.run(
            [sys.executable, __file__, *map(str, arguments), "--precision", given.precision],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            env={**os.environ, "HF_HUB_OFFLINE": "1"},
        )
        row = json.loads(done.stdout.splitlines()[-1])
        print(
            f"| {row['architecture']} | {row['parameters']:.0f} | {row['precision']} "
            f"| {row['images']} | {row['images_per_s']:.2f} | {row['images_per_core_s']:.2f} "
            f"| {row['texts']} | {row['texts_per_s']:.1f} | {row['texts_per_core_s']:.1f} "
            f"| {row['load_s']:.0f} | {row['peak_gb']:.1f} |",
            flush=True,
        )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        return platform.processor()


if __name__ == "__main__":
    main()
