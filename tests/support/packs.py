"""Stored vectors as a folder, and a run of them through the public command line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from hiereval import reading
from hiereval.records import Record
from support.typed import exit_code


def write_folder(
    folder: Path,
    texts: Sequence[str],
    text: torch.Tensor,
    images: Sequence[str],
    image: torch.Tensor,
    *,
    root_text: str = "",
    root: torch.Tensor | None = None,
    **index: Any,
) -> Path:
    """Write a folder of the adapter `precomputed`; the root text is added where it is lacking."""
    folder.mkdir(parents=True)
    names = list(texts)
    if root_text not in names:
        names.append(root_text)
        text = torch.cat([text, (text[:1] * 0 if root is None else root[None])])
    save_file(
        {"text": text.contiguous(), "image": image.contiguous()}, folder / "embeddings.safetensors"
    )
    content = {"texts": names, "images": list(images), "root_text": root_text, **index}
    (folder / "index.json").write_text(json.dumps(content))
    return folder


def run(folder: Path, task: str, output: Path, *arguments: str) -> Record:
    """Return the one record that `hiereval run` makes of a task over stored vectors."""
    command = ["run", "--model", f"precomputed:{folder}", "--tasks", task, "--controls", "none"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hiereval.nulls.bars", lambda *_, **__: {})  # slow, and tested elsewhere
        code = exit_code(*command, "--output-path", output, "--resamples", "20", *arguments)
    assert code == 0
    (record,) = reading.read_all([output])
    return record


def values(record: Record) -> dict[str, float | None]:
    """Return each metric's value."""
    return {name: metric.value for name, metric in record.metrics.items()}
