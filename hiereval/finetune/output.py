"""The output folder: a state that survives kill -9, then the model, its card and its curves.

`state.pt` is written under another name, synced and renamed, so there is always one whole state,
the last one. The finished model stands in `model/`, which appears whole; the state is deleted.
"""

from __future__ import annotations

import json
import os
import pickle
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from hiereval.errors import HierevalError
from hiereval.finetune import MODEL


class Output:
    """One fine-tuning's folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state, self.model = folder / "state.pt", folder / MODEL

    def open(self, resume: bool) -> None:
        """Create the folder; one that holds anything is refused unless it is to be resumed."""
        if self.folder.exists() and not self.folder.is_dir():
            raise HierevalError(f"The output {str(self.folder)!r} must be a folder, not a file.")
        if self.folder.is_dir() and any(self.folder.iterdir()) and not resume:
            hint = "--resume continues it, or name another folder."
            raise HierevalError(
                f"The output folder {str(self.folder)!r} must be new or empty. {hint}"
            )
        if resume and not self.state.is_file() and not self.model.is_dir():
            raise HierevalError(
                f"The output folder {str(self.folder)!r} must hold state.pt to be resumed. "
                "Leave out --resume to start."
            )
        self._guarded(lambda: self.folder.mkdir(parents=True, exist_ok=True))
        for left in self.folder.glob(".*.part"):
            shutil.rmtree(left) if left.is_dir() else left.unlink()

    @property
    def finished(self) -> bool:
        """Whether the model is there."""
        return self.model.is_dir()

    def load_state(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Return the saved state; raises HierevalError if it is of another training."""
        try:
            state: dict[str, Any] = torch.load(self.state, map_location="cpu", weights_only=True)
            saved = json.loads(state["settings"])
        except (OSError, RuntimeError, KeyError, ValueError, pickle.UnpicklingError) as error:
            raise HierevalError(
                f"The state {str(self.state)!r} must be readable: {_first_line(error)}. "
                "Delete the folder to start again."
            ) from error
        now = json.loads(json.dumps(settings))
        for name in now:
            if saved.get(name) != now[name]:
                raise HierevalError(
                    f"The {name} of a resumed training must be {saved.get(name)!r}, as in "
                    f"{str(self.folder)!r}; it is {now[name]!r}."
                )
        return state

    def save_state(self, state: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
        """Replace the state by this one, whole."""
        content = {**state, "settings": json.dumps(settings)}
        self._replace(self.state, lambda file: torch.save(content, file))

    def write_json(self, name: str, value: Any) -> None:
        """Write a JSON file, whole."""
        self.write_bytes(name, (json.dumps(value, indent=1) + "\n").encode())

    def write_lines(self, name: str, values: list[dict[str, Any]]) -> None:
        """Write a JSON Lines file, whole."""
        self.write_bytes(name, "".join(json.dumps(value) + "\n" for value in values).encode())

    def write_bytes(self, name: str, content: bytes) -> None:
        """Write a file, whole."""
        self._replace(self.folder / name, lambda file: file.write(content))

    def save_model(self, save: Callable[[Path], None]) -> None:
        """Let `save` fill a folder that then becomes `model/`; after it the state is not needed."""
        part = self.folder / ".model.part"

        def write() -> None:
            part.mkdir()
            save(part)
            os.replace(part, self.model)

        try:
            self._guarded(write)
        finally:
            shutil.rmtree(part, ignore_errors=True)
        self.state.unlink(missing_ok=True)

    def _replace(self, path: Path, write: Callable[[Any], object]) -> None:
        part = self.folder / f".{path.name}.part"

        def whole() -> None:
            with part.open("wb") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, path)

        try:
            self._guarded(whole)
        finally:
            part.unlink(missing_ok=True)

    def _guarded(self, work: Callable[[], object]) -> None:
        """Turn a full disk and its like into one line that says what is still there."""
        from safetensors import SafetensorError

        try:
            work()
        except (OSError, RuntimeError, SafetensorError) as error:
            kept = " The last saved state is whole: free space, then --resume."
            raise HierevalError(
                f"The output folder {str(self.folder)!r} cannot be written: {_first_line(error)}."
                f"{kept if self.state.is_file() else ''}"
            ) from error


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
