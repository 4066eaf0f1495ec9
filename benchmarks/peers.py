"""Flat retrieval by hiereval, CLIP_benchmark and MTEB: the same figures, and what each takes.

    python benchmarks/peers.py --data-dir DATA [--images 250] [--repeats 2]

A randomly initialised full-size ViT-B/32 from one folder, the first images of HierarCaps and each
one's most specific caption, float32, one thread, batches of 64; each evaluator is a process of
its own, in turn, timed from the folder to the figures, its imports apart. A peer that is not
installed is left out (`pip install clip_benchmark`; MTEB comes with the extra `mteb`).

Random weights find next to nothing, so the metrics are compared once more on vectors that were
made: captions near their images, so that about half are found.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from full_size import register_with_mteb
from released import random_b32

BATCH, MTEB_BATCH = 64, 32  # what CLIP_benchmark's command and MTEB take where none is given
CUTS = (1, 5, 10)
PEERS = {"hiereval": "hiereval", "CLIP_benchmark": "clip_benchmark", "MTEB": "mteb"}
NOISE = 0.35  # a coordinate, beside unit vectors of 512

Recalls = dict[str, float]
Rows = Sequence[tuple[str, str]]  # an image's file and its caption


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data-dir", type=Path, default=os.environ.get("HIEREVAL_DATA"))
    parser.add_argument("--images", type=int, default=250)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--model", type=Path, help="a CLIP's folder; default: a random ViT-B/32")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--rows", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(measured(given.one, given.model, json.loads(given.rows.read_text()))))
        return
    with tempfile.TemporaryDirectory() as scratch:
        given.model = given.model or random_b32(Path(scratch, "vit-b-32"))
        given.rows = Path(scratch, "rows.json")
        given.rows.write_text(json.dumps(rows_of(Path(given.data_dir), given.images)))
        found: dict[str, list[dict[str, Any]]] = {}
        for _ in range(given.repeats):
            for peer, package in PEERS.items():
                if importlib.util.find_spec(package) is None:
                    print(f"{peer} is not installed, and left out", file=sys.stderr)
                    continue
                found.setdefault(peer, []).append(apart(peer, given))
    print(*table(found, given.images), sep="\n")


def apart(peer: str, given: argparse.Namespace) -> dict[str, Any]:
    arguments = ["--one", peer, "--model", str(given.model), "--rows", str(given.rows)]
    done = subprocess.run(
        [sys.executable, __file__, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
    )
    return dict(json.loads(done.stdout.splitlines()[-1]))


def rows_of(data: Path, n: int) -> Rows:
    from hiereval.datasets import head, open_dataset
    from hiereval.places import Places
    from hiereval.types import DataOptions

    whole: Any = open_dataset("hierarcaps", DataOptions(places=Places.of(data_dir=data)))
    chosen = head(whole, n)
    captions = [chosen.texts[row[-1]] for row in chosen.chains]
    assert len(set(captions)) == len(captions)  # one that is right for two has no single rank
    return [
        (str(chosen.images[i].path), caption)
        for i, caption in zip(chosen.chain_image, captions, strict=True)
    ]


def measured(peer: str, model: Path, rows: Rows) -> dict[str, Any]:
    """Run one evaluator in this process."""
    import torch

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # those of the peers are not ours
    run, metric = {
        "hiereval": ours,
        "CLIP_benchmark": clip_benchmark,
        "MTEB": mteb,
    }[peer](model, rows)
    wall, processor = time.perf_counter(), time.process_time()
    recalls = run()
    took = time.perf_counter() - wall, time.process_time() - processor
    generator = torch.Generator().manual_seed(0)
    image = torch.nn.functional.normalize(torch.randn(len(rows), 512, generator=generator))
    text = image + NOISE * torch.randn(len(rows), 512, generator=generator)
    return {"wall": took[0], "processor": took[1], "recalls": recalls,
            "of made vectors": metric(image, text)}  # fmt: skip


Peer = tuple[Callable[[], Recalls], Callable[[Any, Any], Recalls]]  # of the model, of vectors


# --- the three ------------------------------------------------------------------------------------


def ours(model: Path, rows: Rows) -> Peer:
    import torch

    import hiereval
    from hiereval.adapters import hf_clip  # noqa: F401  (an import, as the peers')
    from hiereval.datasets import open_dataset
    from hiereval.geometry import SphereSpace, normalise
    from hiereval.tasks.flat_retrieval import FlatRetrieval
    from hiereval.types import DataOptions

    scratch = Path(tempfile.mkdtemp())
    chains = scratch / "chains.jsonl"
    (scratch / "images").symlink_to(Path(rows[0][0]).parent)
    # a chain is two captions or more; this task looks at the last
    lines = ({"captions": ["picture", text], "image": Path(image).name} for image, text in rows)
    chains.write_text("".join(json.dumps(line) + "\n" for line in lines))

    def run() -> Recalls:
        (record,) = hiereval.evaluate(
            f"hf-clip:{model}",
            datasets=chains,
            tasks="flat-retrieval",
            controls="none",
            device="cpu",
            cache_dir=scratch / "cache",
            progress=False,
        )
        return {name: value.value or 0.0 for name, value in record.metrics.items()}

    def metric(image: Any, text: Any) -> Recalls:
        from hiereval.estimates import values

        task = FlatRetrieval()
        data: Any = open_dataset(str(chains), DataOptions())
        texts = torch.ones(len(data.texts), text.shape[1])
        texts[torch.from_numpy(data.chains[:, -1])] = text
        space = SphereSpace(normalise(texts), image, torch.zeros(text.shape[1]))
        return values(task.metrics, task.score(space, data, torch.Generator()))

    return run, metric


def clip_benchmark(model: Path, rows: Rows) -> Peer:
    import torch
    from clip_benchmark.metrics.zeroshot_retrieval import evaluate
    from PIL import Image
    from torch.utils.data import DataLoader
    from transformers import AutoProcessor, CLIPModel

    class Tower:
        def __init__(self, image: Any, text: Any) -> None:
            self.encode_image, self.encode_text = image, text

    def recalls(tower: Tower, loader: Any, tokenizer: Any) -> Recalls:
        found = evaluate(tower, loader, tokenizer, "cpu", amp=False, recall_k_list=list(CUTS))
        names = {"image_to_text": "text", "text_to_image": "image"}
        return {
            f"{ours}_r{k}": found[f"{theirs}_retrieval_recall@{k}"]
            for ours, theirs in names.items()
            for k in CUTS
        }

    def run() -> Recalls:
        clip = CLIPModel.from_pretrained(model).eval()
        processor: Any = AutoProcessor.from_pretrained(model)

        def pixels(file: str) -> Any:
            image = Image.open(file).convert("RGB")
            return processor.image_processor(image, return_tensors="pt").pixel_values[0]

        class Pictures(torch.utils.data.Dataset):  # type: ignore[type-arg]
            def __len__(self) -> int:
                return len(rows)

            def __getitem__(self, i: int) -> Any:
                return pixels(rows[i][0]), [rows[i][1]]

        def tokens(texts: list[str]) -> Any:
            return processor.tokenizer(
                texts, return_tensors="pt", padding="max_length", truncation=True
            )

        tower = Tower(
            lambda x: clip.get_image_features(pixel_values=x).pooler_output,
            lambda x: clip.get_text_features(**x).pooler_output,
        )
        loader = DataLoader(Pictures(), batch_size=BATCH, collate_fn=together)
        return recalls(tower, loader, tokens)

    def metric(image: Any, text: Any) -> Recalls:
        rows = [(image[i], [i]) for i in range(len(image))]
        loader = DataLoader(rows, batch_size=BATCH, collate_fn=together)  # type: ignore[arg-type]
        return recalls(Tower(lambda x: x, lambda i: text[i]), loader, torch.tensor)

    return run, metric


def together(rows: Sequence[tuple[Any, list[Any]]]) -> tuple[Any, list[list[Any]]]:
    """Return a batch as CLIP_benchmark's own loader makes it."""
    import torch

    return torch.stack([image for image, _ in rows]), [texts for _, texts in rows]


def mteb(model: Path, rows: Rows) -> Peer:
    import mteb
    from datasets import Dataset, Image
    from mteb.abstasks.retrieval import AbsTaskRetrieval

    names = [str(i) for i in range(len(rows))]
    sides: dict[str, Any] = {
        "i": Dataset.from_dict({"id": names, "image": [image for image, _ in rows]}).cast_column(
            "image", Image()
        ),
        "t": Dataset.from_dict({"id": names, "text": [text for _, text in rows]}),
    }

    def task(way: str) -> Any:
        """Return the retrieval from one side of the rows to the other, "i2t" or "t2i"."""
        known = mteb.get_task(f"Flickr30k{way.upper()}Retrieval").metadata

        class Way(AbsTaskRetrieval):
            metadata = known.model_copy(update={"name": f"Rows{way}", "prompt": None})
            k_values = CUTS

            def load_data(self, *_: Any, **__: Any) -> None:
                split = {
                    "queries": sides[way[0]],
                    "corpus": sides[way[-1]],
                    "relevant_docs": {name: {name: 1} for name in names},
                    "top_ranked": None,
                }
                self.dataset = {"default": {"test": split}}  # type: ignore[dict-item]
                self.data_loaded = True

        return Way()

    def recalls(encoder: Any) -> Recalls:
        found = {}
        for ours, way in (("image_to_text", "i2t"), ("text_to_image", "t2i")):
            result = mteb.evaluate(
                encoder, task(way), cache=None, encode_kwargs={"batch_size": MTEB_BATCH}
            )
            scores = result.task_results[0].scores["test"][0]
            found |= {f"{ours}_r{k}": scores[f"recall_at_{k}"] for k in CUTS}
        return found

    def run() -> Recalls:
        return recalls(mteb.get_model(register_with_mteb(model), device="cpu"))

    def metric(image: Any, text: Any) -> Recalls:
        vectors = {"image": image, "text": text}
        encoder = mteb.get_model(register_with_mteb(model), device="cpu")
        encoder.encode = lambda inputs, **_: next(  # type: ignore[method-assign]
            vectors[side] for side in vectors if side in inputs.dataset.features
        ).numpy()
        return recalls(encoder)

    return run, metric


# --- the table ------------------------------------------------------------------------------------


def table(found: dict[str, list[dict[str, Any]]], images: int) -> Iterator[str]:
    """Yield the best of each evaluator's rounds, and how its figures differ from ours."""
    ours = found["hiereval"][0]
    least = min(run["processor"] for run in found["hiereval"])
    yield (
        "| | seconds | of the processor | images a second of it | beside hiereval "
        "| most that R@k differs | on made vectors |"
    )
    yield "|---|--:|--:|--:|--:|--:|--:|"
    for peer, runs in found.items():
        best = min(runs, key=lambda run: float(run["processor"]))
        apart = [
            max(abs(runs[0][what][name] - value) for name, value in ours[what].items())
            for what in ("recalls", "of made vectors")
        ]
        cells = [f"{best['wall']:.1f}", f"{best['processor']:.1f}"]
        cells += [f"{images / best['processor']:.2f}", f"{best['processor'] / least:.2f}"]
        yield f"| {peer} | {' | '.join(cells)} | {apart[0]:.1e} | {apart[1]:.1e} |"
    for what in ("recalls", "of made vectors"):
        yield f"\n{what}: " + ", ".join(f"{name} {value:.3f}" for name, value in ours[what].items())


if __name__ == "__main__":
    main()
