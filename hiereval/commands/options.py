"""Options that several commands share, and what their values become."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from hiereval import choice
from hiereval.errors import HierevalError

if TYPE_CHECKING:
    from rich.console import Console

    from hiereval.session import Report, Session

F = TypeVar("F", bound=Callable[..., Any])


class Pairs(click.ParamType):  # type: ignore[type-arg]
    """`k=v,k=v`, given once or several times, as a dict of strings."""

    name = "k=v,…"

    def convert(self, value: Any, param: Any, ctx: Any) -> dict[str, str]:
        if isinstance(value, dict):
            return value
        try:
            return choice.pairs(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def pairs(flag: str, what: str) -> Callable[[F], F]:
    """Return an option `flag k=v,…` that may be repeated."""

    def merged(ctx: click.Context, param: click.Parameter, given: Any) -> dict[str, str]:
        return {key: value for part in given for key, value in part.items()}

    return click.option(flag, type=Pairs(), multiple=True, callback=merged, help=what)


def names(ctx: click.Context, param: click.Parameter, given: str | None) -> tuple[str, ...]:
    """Split a comma-separated option."""
    return choice.listed(given)


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
model_args = pairs("--model-args", "Arguments of the adapter.")
revision = click.option("--revision", help="Commit or tag of the checkpoint's repository.")

# what a Session is made from; every command that takes one takes them all
PLACES = (
    click.option("--data-dir", type=click.Path(), help="Data root. [env: HIEREVAL_DATA]"),
    click.option(
        "--cache-dir",
        type=click.Path(),
        help="Embeddings, downloads: all that is kept. [env: HIEREVAL_CACHE]",
    ),
    click.option("--offline", is_flag=True, help="Never use the network. [env: HF_HUB_OFFLINE]"),
)
COMPUTE = (
    click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, …"),
    click.option(
        "--precision",
        type=click.Choice(["fp32", "tf32", "bf16", "fp16"]),
        default="fp32",
        show_default=True,
        help="Of the encoders; metrics are always computed in float32 or better.",
    ),
    click.option(
        "--batch-size",
        default="auto",
        show_default=True,
        callback=lambda ctx, param, given: _batch_size(given),
        help="Images a forward pass, four times as many texts. auto: 16 on a CPU; on a GPU what "
        "fits, at most 256.",
    ),
    click.option(
        "--trust-remote-code",
        is_flag=True,
        help="Let st: and mteb: run a checkpoint's own Python code, as you; no other adapter does.",
    ),
    click.option(
        "--root-text",
        metavar="TEXT",
        help="The text that stands for the root.  [default: the adapter's, mostly '']",
    ),
)

OF_PLACES = ("data_dir", "cache_dir", "offline")
SETTINGS = ("device", "precision", "batch_size", "trust_remote_code", "root_text", *OF_PLACES)


def session_options(function: F) -> F:
    """Add the options of a Session; the command gets `session`, a function (report) -> Session.

    It is a function because making a session imports torch, and bad flags are found before that.
    """
    return _sessioned(function, (*COMPUTE, *PLACES), SETTINGS)


def places_options(function: F) -> F:
    """The same for a command that computes nothing: data, cache and network alone."""
    return _sessioned(function, PLACES, OF_PLACES)


def _sessioned(function: F, added: Sequence[Callable[[Any], Any]], names: Sequence[str]) -> F:
    @functools.wraps(function)
    def wrapped(**given: Any) -> Any:
        settings = {key: given.pop(key) for key in names}

        def session(report: Report | None = None) -> Session:
            from hiereval.session import Session, silent

            return Session.of(**{"device": "cpu", **settings}, report=report or silent)

        return function(session=session, **given)

    return combine(*added)(wrapped)  # type: ignore[return-value]


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


def positive(ctx: click.Context, param: click.Parameter, given: int | None) -> int | None:
    """Check that a count is at least 1."""
    if given is not None and given < 1:
        raise click.BadParameter(f"{given} must be at least 1.", ctx, param)
    return given


def _batch_size(given: str) -> int | None:
    """Read --batch-size: a count, or None for auto."""
    if given == "auto":
        return None
    if not given.isdecimal() or int(given) < 1:
        raise click.BadParameter(f"{given!r} must be 'auto' or a whole number of at least 1.")
    return int(given)


def existing(path: str, what: str) -> Path:
    """Return the path if something is there."""
    if not Path(path).exists():
        raise HierevalError(f"The {what} {path!r} must be a file or folder that exists.")
    return Path(path)


def console() -> Console:
    """Return the terminal that a command writes to; a reader that has gone away ends it quietly."""
    from rich.console import Console

    class Out(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError

    return Out()
