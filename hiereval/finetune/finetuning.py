"""A fine-tuning from its flags to its output folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from hiereval import __version__, training
from hiereval.degenerate import not_finite
from hiereval.errors import HierevalError
from hiereval.finetune import CARD
from hiereval.finetune.curves import picture
from hiereval.finetune.distributed import Group, group
from hiereval.finetune.loop import Material, Report, Training, settings
from hiereval.finetune.output import Output
from hiereval.finetune.recipe import Recipe
from hiereval.finetune.tower import TextTower, trainable
from hiereval.geometry import normalise
from hiereval.hooks import Trainable, folder_prefix
from hiereval.lineage import Lineage, text_hashes
from hiereval.processes import Processes
from hiereval.session import Session
from hiereval.types import Chains


@dataclass(frozen=True, kw_only=True)
class FinetuneConfig:
    """One fine-tuning; the fields are the flags of `hiereval finetune`."""

    model: str
    train_data: str
    out: Path
    revision: str | None = None
    model_args: Mapping[str, str] = field(default_factory=dict)
    recipe: Recipe = field(default_factory=Recipe)
    resume: bool = False


def finetune(
    session: Session,
    config: FinetuneConfig,
    report: Report = lambda step, steps, losses: None,
) -> str:
    """Train a model's text tower and return the new checkpoint as `--model` takes it.

    Raises HierevalError for whatever was given wrongly before anything is computed. The folder
    holds `model/` (the checkpoint), card.json, losses.jsonl, validation.jsonl and curves.png.
    """
    device = Processes.launched().device(session.options.device)
    session = replace(session, options=replace(session.options, device=device))
    with group(device) as processes:
        adapter = trainable(
            session.adapter(config.model, config.model_args, revision=config.revision)
        )
        dataset = session.dataset(config.train_data)
        data = training.checked(dataset, negatives=config.recipe.negatives)
        training.refuse_test_images(data, session.at_hand)
        output = Output(config.out)
        processes.wait()
        if processes.first:
            output.open(config.resume)
        processes.wait()
        checkpoint = f"{adapter.id.adapter}:{folder_prefix(adapter)}{output.model}"
        if output.finished:
            return checkpoint
        tower = TextTower(adapter)
        material = _material(session, adapter, data, config.recipe, processes)
        run = Training(tower, material, config.recipe, processes)
        identity = settings(config.recipe, adapter.id.fingerprint(), data)
        if output.state.is_file():
            run.load(output.load_state(identity))
        started = datetime.now(UTC)
        run.run(output, identity, report)
        if processes.first:
            _finish(run, output, data, {"data": _data(data, material), "started": str(started)})
        processes.wait()
    return checkpoint


def _material(
    session: Session, adapter: Trainable, data: Chains, recipe: Recipe, processes: Group
) -> Material:
    """Embed the texts with the model as it is, the first process for all, and hold a part out."""

    def frozen() -> torch.Tensor:
        vectors, _ = session.vectors(adapter, data, images=False, anchors=(adapter.id.root_text,))
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
    generator = torch.Generator().manual_seed(recipe.seed)
    rows, held = training.hold_out(data, recipe.validation, generator)
    return Material(data, text, rows, held, recipe.negatives)


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


def _finish(run: Training, output: Output, data: Chains, facts: Mapping[str, Any]) -> None:
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
    trained = Lineage(
        name=output.folder.absolute().name,
        base=adapter.id.fingerprint(),
        dataset=data.name,
        sha256=data.sha256,
        images=tuple(sorted(training.image_names(data))),
        texts=text_hashes(data.texts),
    )

    def save(folder: Path) -> None:
        adapter.save(folder)
        trained.write(folder)

    run.tower.network.eval()
    output.save_model(save)
