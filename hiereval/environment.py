"""What a run's numbers may depend on beyond model and data: versions, device, commit, plugins."""

from __future__ import annotations

import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from hiereval import __version__, processor, registry
from hiereval.records import Environment

PACKAGES = (
    "torch", "torchvision", "transformers", "open_clip_torch", "timm", "tokenizers", "pillow",
    "numpy", "scipy", "safetensors", "huggingface_hub", "sentence-transformers",
)  # fmt: skip


def environment(device: str) -> Environment:
    """Return the environment as a record holds it."""
    plugins = sorted(f"{kind}:{name}" for kind, name in registry.foreign())
    return _fixed(device).model_copy(update={"plugins": plugins})


@cache
def _fixed(device: str) -> Environment:
    import torch

    cuda = device.startswith("cuda")
    commit, dirty = _git()
    return Environment(
        hiereval=__version__,
        python=platform.python_version(),
        packages=packages(),
        device=torch.cuda.get_device_name(device) if cuda else f"cpu: {processor.name()}",
        driver=f"CUDA {torch.version.cuda}" if cuda else None,
        git_commit=commit,
        git_dirty=dirty,
        plugins=[],
    )


def packages() -> dict[str, str]:
    """Return the installed versions of what numbers depend on."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _git() -> tuple[str | None, bool | None]:
    """Return (commit, whether files differ from it) of the checkout that runs, if it is one."""
    top = Path(__file__).parent.parent
    if not (top / ".git").exists():
        return None, None
    try:
        git = ["git", "-C", str(top)]
        commit = subprocess.check_output([*git, "rev-parse", "HEAD"], text=True, timeout=10)
        status = subprocess.check_output([*git, "status", "--porcelain"], text=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return None, None
    return commit.strip(), bool(status.strip())


def pick_device(asked: str) -> str:
    """Return the torch device for `--device`: the named one, or the best there is for auto."""
    import torch

    from hiereval.errors import HierevalError

    if asked == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=asked)
    except (RuntimeError, AssertionError) as error:
        raise HierevalError(
            f"The device {asked!r} must be one that torch can use here: "
            f"{str(error).splitlines()[0]} 'hiereval doctor' shows what there is."
        ) from error
    return asked
