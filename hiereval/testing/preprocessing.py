"""Preprocessing: its results compared, and a checkpoint's settings altered in a copy."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SMALL = 1 << 20  # bytes: a settings file, no vocabulary
SETTINGS = ("mean", "image_mean", "std", "image_std")  # of preprocessing, in a folder's JSON files


def same(a: Any, b: Any) -> bool:
    """Return whether two preprocessed pictures are equal, whatever they are made of."""
    import numpy as np
    import torch

    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return np.array_equal(a, b)
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return bool(a == b)


def altered(folder: Path, copy: Path) -> list[str]:
    """Copy a checkpoint (weights as links) with other means and deviations; say which."""
    changed: list[str] = []
    copy.mkdir()
    for path in sorted(folder.iterdir()):
        target = copy / path.name
        if path.is_dir():
            shutil.copytree(path, target)
        elif path.suffix == ".json" and path.stat().st_size < SMALL:
            content = json.loads(path.read_text("utf-8"))
            found = _shift(content)
            changed += found
            target.write_text(json.dumps(content) if found else path.read_text("utf-8"), "utf-8")
        else:
            os.symlink(path.resolve(), target)
    return list(dict.fromkeys(changed))


def _shift(content: Any) -> list[str]:
    """Move every list of numbers under a known name; return the names."""
    if isinstance(content, list):
        return [name for part in content for name in _shift(part)]
    if not isinstance(content, dict):
        return []
    found = []
    for key, value in content.items():
        if key in SETTINGS and isinstance(value, list):
            content[key] = [number + 0.1 for number in value]
            found.append(key)
        else:
            found += _shift(value)
    return found
