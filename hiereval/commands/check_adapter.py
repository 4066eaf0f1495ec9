"""`hiereval check-adapter`: the conformance kit on any adapter, ours or another's."""

from __future__ import annotations

import click

from hiereval.commands import options


@click.command(
    epilog="""\b
Examples:
  hiereval check-adapter toy
  hiereval check-adapter hf-clip:/path/to/folder
  hiereval check-adapter mine:checkpoint --plugins my_module --model-args size=2
"""
)
@click.argument("name", metavar="MODEL")
@options.model_options
@click.option("--random-init", type=int, metavar="SEED", help="Check it with random weights.")
@click.option("--offline", is_flag=True, help="Never use the network.")
@options.plugins_option
def command(
    name: str,
    model_args: dict[str, str],
    revision: str | None,
    device: str,
    precision: str,
    trust_remote_code: bool,
    random_init: int | None,
    offline: bool,
) -> None:
    """Check that a model's adapter gives vectors that can be trusted.

    MODEL is an alias or adapter:checkpoint. Prints a table; the exit code is 1 if a check failed.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from hiereval.models import open_adapter, resolve
    from hiereval.testing import check_adapter
    from hiereval.types import Adapter

    load = options.load_options(
        revision, device, precision, offline, trust_remote_code, random_init
    )
    adapter_name = resolve(name).adapter

    def reopen(checkpoint: str) -> Adapter:
        return open_adapter(f"{adapter_name}:{checkpoint}", load, model_args)

    open_adapter(name, load, model_args)  # a model that cannot be opened is the user's one line
    checks = check_adapter(lambda: open_adapter(name, load, model_args), reopen=reopen)
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
    Console().print(table)
    failed = sum(check.passed is False for check in checks)
    passed = sum(check.passed is True for check in checks)
    click.echo(f"{name}: {passed} passed, {failed} failed.")
    if failed:
        raise SystemExit(1)
