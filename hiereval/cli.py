"""The `hiereval` command: a group whose commands are imported when they are named."""

from __future__ import annotations

import contextlib
import difflib
import importlib
import logging
import os
import sys
from typing import Any

import click

from hiereval import __version__
from hiereval.errors import HierevalError
from hiereval.printable import Printable, message
from hiereval.processes import Processes, wait_asleep

# command -> what it is for; the module is hiereval.commands.<name with _>, the attribute `command`
COMMANDS = {
    "run": "Measure a model and append records.",
    "leaderboard": "Show the board of a results folder.",
    "ls": "List models, tasks, adapters, datasets and probes.",
    "download": "Fetch and check a dataset or a model ahead of a run.",
    "encode": "Encode a large collection into shards of vectors.",
    "inputs": "Write what a closed model has to embed.",
    "diff": "Compare two models by a paired bootstrap.",
    "score": "Score samples, predictions or stored embeddings again.",
    "validate": "Check results files: values, tasks, data, conflicts.",
    "verify": "Compute a submission's numbers again from its vectors.",
    "export": "Write results in other tools' formats.",
    "fit": "Fit a trained probe and keep it.",
    "finetune": "Fine-tune a text tower with the RE objective.",
    "convert": "Make a folder of a file that open_clip's training wrote.",
    "check-adapter": "Run the conformance kit on an adapter.",
    "new-adapter": "Write the skeleton of an adapter and its test.",
    "cache": "List, check, join or delete stored vectors.",
    "new-task": "Write the skeleton of a task and its test.",
    "new-board": "Write a board's repository: checks, policy, workflows.",
    "new-dataset": "Write the skeleton of a dataset and its test.",
    "doctor": "Say what is installed, reachable and missing.",
}


class Commands(click.Group):
    """Loads a command's module when it is invoked; accepts `_` for `-` and suggests spellings."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        name = name.replace("_", "-")
        if name not in COMMANDS:
            return None
        module = importlib.import_module(f"hiereval.commands.{name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and args[0].replace("_", "-") not in COMMANDS:
            close = difflib.get_close_matches(args[0], COMMANDS, n=1)
            hint = f" Did you mean '{close[0]}'?" if close else " See 'hiereval --help'."
            raise click.UsageError(f"There is no command {args[0]!r}.{hint}", ctx)
        return super().resolve_command(ctx, args)


def dashes(token: str) -> str:
    """Let flags be written with `_` for `-`; click hands them over without their dashes."""
    return token.replace("_", "-")


@click.group(
    cls=Commands,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "max_content_width": 100,
        "token_normalize_func": dashes,
    },
    epilog="First run, nothing to download:  hiereval run --model toy --dataset shapes",
)
@click.version_option(__version__, prog_name="hiereval")
@click.option("--debug", is_flag=True, help="Show a traceback when something fails.")
def hiereval(debug: bool) -> None:
    """Does a vision-language model know that 'bird' is more general than 'a blue bird'?

    hiereval measures the hierarchy in a model's image-text space: ordering, entailment and
    hierarchical retrieval, with intervals and controls, as JSONL records and a leaderboard.
    """


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; every expected problem is one line on stderr and an exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"]
    wait_asleep()
    _let_logs_be_printed(debug)
    _let_anything_be_printed()
    try:
        _refuse_half_characters(arguments)
        code: Any = hiereval.main(arguments, prog_name="hiereval", standalone_mode=False)
    except HierevalError as error:
        if debug:
            raise
        click.echo(f"error: {error}", err=True)
        code = error.exit_code
    except click.UsageError as error:
        error.show()
        code = 2
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except (KeyboardInterrupt, click.Abort):
        if Processes.launched().first:  # the others would say the same
            click.echo("interrupted; everything finished so far is kept", err=True)
        code = 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except OSError as error:  # a path that the file system refuses, a full disk
        if debug:
            raise
        where = f"The file or folder {str(error.filename)[:200]!r}" if error.filename else "A file"
        click.echo(f"error: {where} cannot be used: {error.strerror or error}.", err=True)
        code = 2
    except Exception as error:
        if debug:
            raise
        click.echo(
            f"error: {type(error).__name__}: {message(error)} (a defect in hiereval or a plugin: "
            "run again with --debug for the traceback)",
            err=True,
        )
        code = 1
    sys.exit(code if isinstance(code, int) else 0)


def _let_logs_be_printed(debug: bool) -> None:
    """Print warnings, of libraries too, and with `debug` whatever hiereval notes, made printable.

    It notes what went wrong inside a task, which is its record's reason and no error here.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(Printable())
    logging.basicConfig(handlers=[handler])  # nothing, where somebody else listens
    if debug:
        log = logging.getLogger("hiereval")
        log.setLevel(logging.DEBUG)
        log.handlers = [] if handler in logging.getLogger().handlers else [handler]


def _let_anything_be_printed() -> None:
    """Print `?` for what the terminal's encoding lacks, rather than fail after hours."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, ValueError):  # a stream of somebody else's
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]


def _refuse_half_characters(arguments: list[str]) -> None:
    """Raise for bytes on the command line that are no text: no record could hold them."""
    for argument in arguments:
        try:
            argument.encode()
        except UnicodeEncodeError:
            raise HierevalError(
                f"The argument {argument[:200]!r} must be text in the terminal's encoding."
            ) from None
