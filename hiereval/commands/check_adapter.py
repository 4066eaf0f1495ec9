"""`hiereval check-adapter`: the conformance kit on any adapter, ours or another's."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from hiereval.commands import options

if TYPE_CHECKING:
    from hiereval.session import Session


@click.command(
    epilog="""\b
Examples:
  hiereval check-adapter toy
  hiereval check-adapter hf-clip:/path/to/folder
  hiereval check-adapter mine:checkpoint --plugins my_module --model-args size=2
"""
)
@click.argument("name", metavar="MODEL")
@options.model_args
@options.revision
@click.option("--random-init", type=int, metavar="SEED", help="Check it with random weights.")
@options.session_options
@options.plugins_option
def command(
    session: Callable[[], Session],
    name: str,
    model_args: dict[str, str],
    revision: str | None,
    random_init: int | None,
) -> None:
    """Check that a model's adapter gives vectors that can be trusted.

    MODEL is an alias or adapter:checkpoint. Prints a table; the exit code is 1 if a check failed.
    """
    from rich.table import Table
    from rich.text import Text

    from hiereval.models import resolve
    from hiereval.testing import check_adapter
    from hiereval.types import Adapter

    one = session()
    adapter_name = resolve(name, one.places).adapter

    def open_adapter(spec: str) -> Adapter:
        return one.adapter(spec, model_args, revision=revision, random_init=random_init)

    def reopen(checkpoint: str) -> Adapter:
        return open_adapter(f"{adapter_name}:{checkpoint}")

    open_adapter(name)  # a model that cannot be opened is the user's one line
    checks = check_adapter(lambda: open_adapter(name), reopen=reopen)
    table = Table(box=None, padding=(0, 1), header_style="bold")
    for column in ("check", "", "seen"):
        table.add_column(column, overflow="fold")
    marks = {
        True: Text("passed", "green"),
        False: Text("FAILED", "bold red"),
        None: Text("n/a", "dim"),
    }
    for check in checks:
        table.add_row(Text(check.name), marks[check.passed], Text(check.detail))
    options.console().print(table)
    failed = sum(check.passed is False for check in checks)
    passed = sum(check.passed is True for check in checks)
    click.echo(f"{name}: {passed} passed, {failed} failed.")
    if failed:
        raise SystemExit(1)
