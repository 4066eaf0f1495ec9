"""Ours beside the released evaluator: the same numbers, and how much faster, in one run.

    python benchmarks/released.py --released-code CHECKOUT/code --data-dir DATA --model FOLDER

CHECKOUT is a clone of the paper's repository (TAU-VAILab/hierarcaps, commit ba22b891), FOLDER a
CLIP checkpoint in the transformers format; without --model a randomly initialised full-size
ViT-B/32 is written first. Both evaluators run as fresh processes, float32, on the CPU; ours with
an empty store. The released code predates transformers 5: its feature calls are made to return
the pooled output, as they did then.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RELEASED = """
import runpy, sys
import transformers
for name in ("get_text_features", "get_image_features"):
    def pooled(self, *a, _call=getattr(transformers.CLIPModel, name), **k):
        return _call(self, *a, **k).pooler_output
    setattr(transformers.CLIPModel, name, pooled)
sys.path.insert(0, sys.argv[1])
sys.argv = ["eval.py", *sys.argv[2:]]
runpy.run_path("eval.py", run_name="__main__")
"""


def released(code: Path, data: Path, model: Path, scratch: Path) -> tuple[float, dict[str, float]]:
    log = scratch / "released.json"
    files = data / "hierarcaps"
    arguments = ["--test_csv_filename", files / "hierarcaps_test.csv"]
    arguments += ["--test_images_dir", files / "test_imgs", "-bc", model, "--device", "cpu"]
    command = [sys.executable, "-c", RELEASED, code, *arguments, "-l", log, "-e", "x"]
    seconds = timed(command, cwd=code)
    found = json.loads(log.read_text())
    return seconds, {"tau_d": found["d_corr"], **{k: found[k] for k in ("precision", "recall")}}


def ours(data: Path, model: Path, scratch: Path) -> tuple[float, dict[str, float]]:
    command = ["hiereval", "run", "--model", f"hf-clip:{model}", "--dataset", "hierarcaps"]
    command += ["--tasks", "ordering,retrieval", "--controls", "none", "--device", "cpu"]
    command += ["--output-path", scratch / "results", "--cache-dir", scratch / "cache"]
    seconds = timed([*command, "--data-dir", data])
    records = [json.loads(line) for f in scratch.rglob("results/*.jsonl") for line in f.open()]
    metrics = {r["task"]["name"]: r["metrics"] for r in records}
    values = {"tau_d": metrics["ordering"]["tau_d"]["value"]}
    for name in ("precision", "recall"):
        values[name] = metrics["retrieval"][name]["value"]
    return seconds, values


def timed(command: list[object], cwd: Path | None = None) -> float:
    started = time.perf_counter()
    subprocess.run([str(part) for part in command], check=True, cwd=cwd, stdout=sys.stderr)
    return time.perf_counter() - started


def random_b32(folder: Path) -> Path:
    """Write a randomly initialised ViT-B/32 with CLIP's own tokenizer."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    import torch
    from support.checkpoints import clip_tokenizer
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel

    torch.manual_seed(0)
    config = CLIPConfig(projection_dim=512)  # the defaults are ViT-B/32's
    CLIPModel(config).save_pretrained(folder)
    CLIPImageProcessor().save_pretrained(folder)
    return clip_tokenizer(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--released-code", type=Path, required=True)
    parser.add_argument("--data-dir", type=Path, default=os.environ.get("HIEREVAL_DATA"))
    parser.add_argument("--model", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        scratch = Path(temporary)
        model = arguments.model or random_b32(scratch / "vit-b-32")
        data = Path(arguments.data_dir).resolve()
        mine, our_values = ours(data, model.resolve(), scratch)
        theirs, their_values = released(
            arguments.released_code.resolve(), data, model.resolve(), scratch
        )
    print(f"\n{platform.processor() or platform.machine()}, {os.cpu_count()} cores, float32\n")
    print("| | released | hiereval | difference |\n|---|---|---|---|")
    for name, value in their_values.items():
        print(
            f"| {name} | {value:.6f} | {our_values[name]:.6f} | {our_values[name] - value:+.1e} |"
        )
    print(f"| seconds | {theirs:.1f} | {mine:.1f} | {theirs / mine:.2f} times as fast |")


if __name__ == "__main__":
    main()
