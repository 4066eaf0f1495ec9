"""`hiereval new-board`: a repository that checks submissions and publishes a board."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from string import Template

import click

from hiereval.commands.scaffold import write_files
from hiereval.errors import HierevalError
from hiereval.printable import clean

FILES = {  # file of the repository -> its template
    "README.md": "README.md",
    "SUBMITTING.md": "SUBMITTING.md",
    "POLICY.md": "POLICY.md",
    "CITATION.cff": "CITATION.cff",
    "board.toml": "board.toml",
    ".gitignore": "gitignore",
    "results/.gitkeep": "",
    "verified/.gitkeep": "",
    "scripts/check": "check",
    "scripts/publish": "publish",
    "space/README.md": "space.md",
    ".github/pull_request_template.md": "pull_request_template.md",
    ".github/workflows/check.yml": "check.yml",
    ".github/workflows/comment.yml": "comment.yml",
    ".github/workflows/publish.yml": "publish.yml",
}


@click.command(
    epilog="""\b
Example:
  hiereval new-board our-board --title 'Our board'
  cd our-board && git init && git add . && git commit -m 'Begin a board'
"""
)
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--title", default="Visual-semantic hierarchy", show_default=True, help="Of the board."
)
def command(folder: Path, title: str) -> None:
    """Write a board's repository into FOLDER, which must be new or empty.

    It holds the records, the board's settings, a guide for submissions, a policy, scripts that
    check a submission and publish the board, and the workflows that run them.
    """
    if '"' in title or "\\" in title or not clean(title):
        raise HierevalError(f"The title {title!r} must be a line without quotes and backslashes.")
    texts = {name: _text(template, clean(title)) for name, template in FILES.items()}
    write_files(folder, texts, run=[name for name in FILES if name.startswith("scripts/")])
    click.echo(f"{folder}: {', '.join(FILES)}")
    click.echo("Next: commit it, push it, and let Pages be built by GitHub Actions.")


def _text(template: str, title: str) -> str:
    """Return a template's text with the board's title."""
    if not template:
        return ""
    templates = files("hiereval.leaderboard") / "templates" / "new-board"
    return Template((templates / template).read_text("utf-8")).substitute(title=title)
