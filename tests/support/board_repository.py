"""A board's repository, as `hiereval new-board` writes it, under git."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path


class Board:
    """A board's repository with a branch for each submission."""

    def __init__(self, folder: Path, cache: Path) -> None:
        self.folder = folder
        scripts = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        who = {
            f"GIT_{w}_{k}": "b@example.org"
            for w in ("AUTHOR", "COMMITTER")
            for k in ("NAME", "EMAIL")
        }
        self.environment = {**os.environ, **who, "PATH": scripts, "HIEREVAL_CACHE": str(cache)}
        self.do("git", "init", "-q", "-b", "main")
        self.commit()

    def do(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def commit(self) -> None:
        self.do("git", "add", "-A")
        done = self.do("git", "commit", "-q", "-m", "One step")
        assert done.returncode == 0, done.stderr

    def submit(self, name: str, write: Callable[[Path], object]) -> tuple[int, str]:
        """Commit a submission to a branch of its own; return what the check says."""
        self.do("git", "checkout", "-q", "-b", name, "main")
        folder = self.folder / "results" / name
        folder.mkdir()
        write(folder)
        self.commit()
        done = self.do("scripts/check", "main")
        return done.returncode, (self.folder / "report.md").read_text("utf-8")
