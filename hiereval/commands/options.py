"""Options that several commands share, and what their values become."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from hiereval.errors import HierevalError

F = TypeVar("F", bound=Callable[..., Any])


class Pairs(click.ParamType):  # type: ignore[type-arg]
    """`k=v,k=v`, given once or several times, as a dict of strings."""

    name = "k=v,…"

    def convert(self, value: Any, param: Any, ctx: Any) -> dict[str, str]:
        if isinstance(value, dict):
            return value
        pairs = {}
        for part in filter(None, (part.strip() for part in value.split(","))):
            key, equals, given = part.partition("=")
            if not equals or not key.strip():
                self.fail(f"{part!r} must be written key=value.", param, ctx)
            pairs[key.strip().replace("-", "_")] = given.strip()
        return pairs


def pairs(flag: str, what: str) -> Callable[[F], F]:
    """Return an option `flag k=v,…` that may be repeated."""

    def merged(ctx: click.Context, param: click.Parameter, given: Any) -> dict[str, str]:
        return {key: value for part in given for key, value in part.items()}

    return click.option(flag, type=Pairs(), multiple=True, callback=merged, help=what)


def names(ctx: click.Context, param: click.Parameter, given: str | None) -> tuple[str, ...]:
    """Split a comma-separated option."""
    return tuple(filter(None, (part.strip() for part in (given or "").split(","))))


def combine(*options: Callable[[F], F]) -> Callable[[F], F]:
    """Return one decorator that adds all these options in this order."""

    def add(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return add


model_option = click.option(
    "--model",
    required=True,
    metavar="MODEL",
    help="An alias ('hiereval ls models') or adapter:checkpoint, e.g. hf-clip:/path/to/folder.",
)
model_options = combine(
    pairs("--model-args", "Arguments of the adapter."),
    click.option("--revision", help="Commit or tag of the checkpoint's repository."),
    click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, …"),
    click.option(
        "--precision",
        type=click.Choice(["fp32", "tf32", "bf16", "fp16"]),
        default="fp32",
        show_default=True,
        help="Of the encoders; metrics are always computed in float32 or better.",
    ),
    click.option("--trust-remote-code", is_flag=True, help="Run a repository's own code."),
)
data_options = combine(
    click.option("--data-dir", type=click.Path(), help="Data root. [env: HIEREVAL_DATA]"),
    click.option("--cache-dir", type=click.Path(), help="Embeddings, data. [env: HIEREVAL_CACHE]"),
    click.option("--offline", is_flag=True, help="Never use the network."),
)
plugins_option = click.option(
    "--plugins",
    metavar="MODULE,…",
    help="Modules that register adapters, tasks, probes or datasets.",
    expose_value=False,
    is_eager=True,
    callback=lambda ctx, param, given: _import(given),
)


def _import(modules: str | None) -> None:
    if modules:
        from hiereval.registry import import_plugins

        import_plugins(modules)


def is_offline(flag: bool) -> bool:
    """Return whether the network is off, by flag or by the hub's own variable."""
    return flag or os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on")


def positive(ctx: click.Context, param: click.Parameter, given: int | None) -> int | None:
    """Check that a count is at least 1."""
    if given is not None and given < 1:
        raise click.BadParameter(f"{given} must be at least 1.", ctx, param)
    return given


def batch_size(ctx: click.Context, param: click.Parameter, given: str) -> int | None:
    """Read --batch-size: a count, or None for auto."""
    if given == "auto":
        return None
    if not given.isdecimal() or int(given) < 1:
        raise click.BadParameter(f"{given!r} must be 'auto' or a whole number of at least 1.")
    return int(given)


def load_options(
    revision: str | None,
    device: str,
    precision: str,
    offline: bool,
    trust_remote_code: bool = False,
    random_init: int | None = None,
) -> Any:
    """Return LoadOptions of the flags, the device resolved."""
    from hiereval.environment import pick_device
    from hiereval.types import LoadOptions

    return LoadOptions(
        revision=revision,
        device=pick_device(device),
        precision=precision,  # type: ignore[arg-type]
        random_init=random_init,
        offline=is_offline(offline),
        trust_remote_code=trust_remote_code,
    )


def existing(path: str, what: str) -> Path:
    """Return the path if something is there."""
    if not Path(path).exists():
        raise HierevalError(f"The {what} {path!r} must be a file or folder that exists.")
    return Path(path)
