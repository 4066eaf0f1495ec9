"""A fine-tuning from its flags to its output folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from hiereval import __version__, training
from hiereval.datasets import open_dataset
from hiereval.embed import Progress, embed
from hiereval.errors import HierevalError
from hiereval.finetune import CARD
from hiereval.finetune.curves import picture
from hiereval.finetune.distributed import Group, group, local_device
from hiereval.finetune.loop import Material, Report, Training, settings
from hiereval.finetune.output import Output
from hiereval.finetune.recipe import Recipe
from hiereval.finetune.tower import TextTower, Trainable, trainable
from hiereval.geometry import normalise
from hiereval.job import not_finite
from hiereval.models import open_adapter
from hiereval.store import Store
from hiereval.types import Chains, DataOptions, LoadOptions


@dataclass(frozen=True, kw_only=True)
class FinetuneConfig:
    """One fine-tuning; the fields are the flags of `hiereval finetune`."""

    model: str
    train_data: str
    out: Path
    data: DataOptions
    cache_dir: Path
    options: LoadOptions = field(default_factory=LoadOptions)
    model_args: Mapping[str, str] = field(default_factory=dict)
    recipe: Recipe = field(default_factory=Recipe)
    resume: bool = False


def finetune(
    config: FinetuneConfig,
    report: Report = lambda step, steps, losses: None,
    progress: Progress = lambda stage, done, total: None,
) -> str:
    """Train a model's text tower and return the new checkpoint as `--model` takes it.

    Raises HierevalError for whatever was given wrongly before anything is computed. The folder
    holds `model/` (the checkpoint), card.json, losses.jsonl, validation.jsonl and curves.png.
    """
    options = replace(config.options, device=local_device(config.options.device))
    with group(options.device) as processes:
        adapter = trainable(open_adapter(config.model, options, config.model_args))
        dataset = open_dataset(config.train_data, config.data)
        data = training.checked(dataset, negatives=config.recipe.negatives)
        training.refuse_test_images(data, config.data)
        output = Output(config.out)
        processes.wait()
        if processes.first:
            output.open(config.resume)
        processes.wait()
        checkpoint = f"{adapter.id.adapter}:{getattr(adapter, 'folder_prefix', '')}{output.model}"
        if output.finished:
            return checkpoint
        tower = TextTower(adapter)
        material = _material(adapter, data, config, processes, progress)
        run = Training(tower, material, config.recipe, processes)
        identity = settings(config.recipe, adapter.id.fingerprint(), data)
        if output.state.is_file():
            run.load(output.load_state(identity))
        started = datetime.now(UTC)
        run.run(output, identity, report)
        if processes.first:
            _finish(run, output, {"data": _data(data, material), "started": str(started)})
        processes.wait()
    return checkpoint


def _material(
    adapter: Trainable, data: Chains, config: FinetuneConfig, processes: Group, progress: Progress
) -> Material:
    """Embed the texts with the model as it is, the first process for all, and hold a part out."""

    def frozen() -> torch.Tensor:
        vectors, _ = embed(
            adapter,
            data,
            images=False,
            anchors=(adapter.id.root_text,),
            store=Store(config.cache_dir),
            device=config.options.device,
            progress=progress,
        )
        reason = not_finite(vectors, data)
        if reason is not None:
            raise HierevalError(
                f"The model {adapter.id.name!r} must give finite vectors: {reason}."
            )
        return normalise(vectors.text)

    if processes.first:
        text = frozen()
    processes.wait()
    if not processes.first:
        text = frozen()
    generator = torch.Generator().manual_seed(config.recipe.seed)
    rows, held = training.hold_out(data, config.recipe.validation, generator)
    return Material(data, text, rows, held, config.recipe.negatives)


def _data(data: Chains, material: Material) -> dict[str, Any]:
    return {
        "name": data.name,
        "split": data.split,
        "sha256": data.sha256,
        "chains": len(data.chains),
        "training": len(material.train),
        "validation": len(material.validation),
        "images": sorted(training.image_names(data)),
    }


def _finish(run: Training, output: Output, facts: Mapping[str, Any]) -> None:
    """Write what people read, and last the model: a folder with a model is complete."""
    adapter = run.tower.adapter
    output.write_lines("losses.jsonl", run.log)
    output.write_lines("validation.jsonl", run.validations)
    output.write_bytes("curves.png", picture(run.log, run.validations))
    output.write_json(
        CARD,
        {
            "hiereval": __version__,
            "torch": torch.__version__,
            "base": {**asdict(adapter.id), "fingerprint": adapter.id.fingerprint()},
            "recipe": asdict(run.recipe),
            "processes": run.group.size,
            "steps": run.step,
            "last": run.log[-1],
            "validation": run.validations[-1] if run.validations else None,
            **facts,
            "finished": str(datetime.now(UTC)),
        },
    )
    run.tower.network.eval()
    output.save_model(adapter.save)
