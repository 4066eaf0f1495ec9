"""The output folder: a state that survives kill -9, then the model, its card and its curves.

`state.pt` ends with a hash of itself and is replaced whole, so there is always one good state, the
last one. The finished model stands in `model/`, which appears whole and on the disk; only then is
the state deleted.
"""

from __future__ import annotations

import hashlib
import json
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

import torch

from hiereval import files
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
        files.clear_leftovers(self.folder)
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
        if self.finished:
            self.state.unlink(missing_ok=True)

    @property
    def finished(self) -> bool:
        """Whether the model is there."""
        return self.model.is_dir()

    def load_state(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Return the saved state; raises HierevalError if it is of another training."""
        try:
            _check(self.state)
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

        def write() -> None:
            with files.whole_file(self.state) as file:
                hashed = _Hashed(file)
                torch.save(content, hashed)  # type: ignore[arg-type]  # it needs no more of a file
                file.write(hashed.digest)

        self._guarded(write)

    def write_json(self, name: str, value: Any) -> None:
        """Write a JSON file, whole."""
        self.write_bytes(name, (json.dumps(value, indent=1) + "\n").encode())

    def write_lines(self, name: str, values: list[dict[str, Any]]) -> None:
        """Write a JSON Lines file, whole."""
        self.write_bytes(name, "".join(json.dumps(value) + "\n" for value in values).encode())

    def write_bytes(self, name: str, content: bytes) -> None:
        """Write a file, whole."""
        self._guarded(lambda: files.write_whole(self.folder / name, content))

    def save_model(self, save: Callable[[Path], None]) -> None:
        """Let `save` fill a folder that then becomes `model/`; after it the state is not needed."""
        self._guarded(lambda: files.write_folder(self.model, save))
        self.state.unlink(missing_ok=True)

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


class _Hashed:
    """A file that is written, and the hash of what was."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file, self._hash = file, hashlib.sha256()

    @property
    def digest(self) -> bytes:
        """The hash as it stands at the end of the file."""
        return self._hash.hexdigest().encode()

    def write(self, content: Any) -> int:
        """Write what torch gives."""
        self._hash.update(content)
        return self.file.write(content)

    def flush(self) -> None:
        """Flush."""
        self.file.flush()


def _check(path: Path) -> None:
    """Raise ValueError if a file does not end with the hash of what stands before."""
    rest, value = path.stat().st_size - 64, hashlib.sha256()
    with path.open("rb") as file:
        while rest > 0 and (block := file.read(min(rest, 1 << 20))):
            value.update(block)
            rest -= len(block)
        if file.read() != value.hexdigest().encode():
            raise ValueError("it is not what was written")


def _first_line(error: BaseException) -> str:
    if isinstance(error, RuntimeError) and isinstance(error.__context__, OSError):
        error = error.__context__  # torch's writer says where it stood, not why
    return str(error).strip().partition("\n")[0] or type(error).__name__
