"""Checkpoints as local folders: a folder as it is, a hub repository at one pinned commit.

The hub is asked once for the commit and the files; everything after reads the folder. With no
network the answer comes in under three seconds: the cached copy, or one line.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import TypeVar

from hiereval.errors import HierevalError, nearest
from hiereval.places import Places
from hiereval.types import LoadOptions

CONFIGURATION = ("*.json", "*.txt", "*.model")  # with the tokenizer's and the processor's files
SAFETENSORS = ("model.safetensors", "model-*-of-*.safetensors")
PICKLES = ("pytorch_model.bin", "pytorch_model-*-of-*.bin")
CACHED = "models--"  # what the cache's folder of a repository begins with
COMMIT = re.compile(r"[0-9a-f]{40}")
SHARD = re.compile(r"(?P<kind>.*)-(?P<n>\d{5})-of-(?P<of>\d{5})\.(?P<suffix>\w+)")
T = TypeVar("T")


@dataclass(frozen=True)
class Snapshot:
    """The files of a checkpoint at one state."""

    folder: Path
    revision: str | None  # commit; None for a folder of the user's


def snapshot(
    adapter: str,
    checkpoint: str,
    options: LoadOptions,
    *,
    files: Sequence[str] = CONFIGURATION,
    weights: Sequence[Sequence[str]] = (SAFETENSORS, PICKLES),
    model: str | None = None,
    subfolder: str | None = None,
    local: bool = True,
) -> Snapshot:
    """Return the local files of a folder or of a hub repository, fetching what is missing.

    `files` are name patterns; of `weights`, the first group of patterns with a match is taken
    (none for a random initialisation), all in `subfolder` where one is given. A commit that is in
    the cache needs no network. `model` is what `hiereval download` takes, where it is not
    adapter:checkpoint; a name that a checkpoint gives is never taken for a folder (`local`).
    Raises HierevalError if the folder, repository or revision does not exist or cannot be had.
    """
    inside = _inside(subfolder)
    folder = Path(checkpoint).expanduser()
    if local and folder.is_dir():
        if options.revision is not None:
            raise HierevalError(
                f"The revision {options.revision!r} must be left out: {checkpoint!r} is a folder."
            )
        _refuse_cache_folder(checkpoint, folder)
        if not (folder / inside).is_dir():
            parts = sorted(path.name for path in folder.iterdir() if path.is_dir())
            raise HierevalError(
                f"The subfolder {subfolder!r} of {checkpoint!r} must exist.{nearest(inside, parts)}"
            )
        return Snapshot(folder / inside, None)
    if checkpoint.startswith((".", "/", "~")) or not re.fullmatch(
        r"[\w.-]+(/[\w.-]+)?", checkpoint
    ):
        raise HierevalError(
            f"The checkpoint {checkpoint!r} must be an existing folder or a hub repository "
            "such as 'openai/clip-vit-base-patch32'."
        )
    weights = [()] if options.random_init is not None else weights
    if inside:
        files = [f"{inside}/{pattern}" for pattern in files]
        weights = [[f"{inside}/{pattern}" for pattern in group] for group in weights]
    model = model or f"{adapter}:{checkpoint}"
    model += f" --model-args subfolder={inside}" if inside else ""
    source = _Repository(model, checkpoint, options.revision, files, weights, options.places)
    if options.offline:
        found = source.in_cache("this run is offline")
    else:
        pinned = COMMIT.fullmatch(options.revision or "") is not None
        found = (pinned and source.cached()) or source.fetched()
    return Snapshot(found.folder / inside, found.revision)


def label(checkpoint: str) -> str:
    """Return what to call the model of a checkpoint: its folder's or repository's name."""
    folder = Path(checkpoint).expanduser()
    if not folder.is_dir():
        return Path(checkpoint).name
    folder = folder.resolve()
    if folder.parent.name == "snapshots" and folder.parent.parent.name.startswith(CACHED):
        return folder.parent.parent.name.rpartition("--")[2]
    return folder.name


def _inside(subfolder: str | None) -> str:
    """Return a user's subfolder as it stands in patterns, "" for none."""
    inside = (subfolder or "").strip("/")
    if not re.fullmatch(r"([\w.-]+(/[\w.-]+)*)?", inside) or ".." in inside.split("/"):
        raise HierevalError(
            f"The subfolder {subfolder!r} must be a relative path such as '0_CLIPModel'."
        )
    return inside


def _refuse_cache_folder(checkpoint: str, folder: Path) -> None:
    """Refuse the folder in which the hub's cache keeps a repository, naming what is meant."""
    name = folder.resolve().name
    if not name.startswith(CACHED) or not (folder / "snapshots").is_dir():
        return
    commits = sorted(path.name for path in (folder / "snapshots").iterdir())
    repository = name.removeprefix(CACHED).replace("--", "/")
    one = f" or '{folder / 'snapshots' / commits[-1]}'" if commits else ""
    raise HierevalError(
        f"The checkpoint {checkpoint!r} must be given as '{repository}'{one}: it is the folder in "
        "which the hub's cache keeps all states of that repository."
    )


@dataclass(frozen=True)
class _Repository:
    model: str  # as --model takes it
    name: str
    revision: str | None
    files: Sequence[str]
    weights: Sequence[Sequence[str]]
    places: Places

    def cached(self) -> Snapshot | None:
        """Return the copy in the cache if it holds the configuration and the weights."""
        from huggingface_hub import snapshot_download

        for group in self.weights:
            try:
                folder = snapshot_download(
                    self.name,
                    revision=self.revision,
                    cache_dir=self.places.hub,
                    allow_patterns=[*self.files, *group],
                    local_files_only=True,
                )
            except OSError:  # not there, or known to be incomplete
                continue
            names = _names(Path(folder))
            if not self._lacking(names, group):
                return Snapshot(Path(folder), Path(folder).name)
        return None

    def _lacking(self, names: Sequence[str], group: Sequence[str]) -> list[str]:
        """Return what a state of the repository lacks: patterns without a file, cut shards."""
        lacking = [] if _matching(names, self.files) else [" or ".join(self.files)]
        if group and not _matching(names, group):
            lacking.append(" or ".join(group))
        for name in names:
            shard = SHARD.fullmatch(name)
            if shard and _matching([name], group):
                every = (
                    f"{shard['kind']}-{n:05}-of-{shard['of']}.{shard['suffix']}"
                    for n in range(1, int(shard["of"]) + 1)
                )
                return [*lacking, *(one for one in every if one not in names)]
        return lacking

    def _partial(self) -> str:
        """Say what the copy in the cache lacks, "" where there is no copy."""
        from huggingface_hub import constants
        from huggingface_hub.file_download import repo_folder_name

        cache = self.places.hub or Path(constants.HF_HUB_CACHE)
        root = cache / repo_folder_name(repo_id=self.name, repo_type="model")
        commit = self.revision or "main"
        if (root / "refs" / commit).is_file():
            commit = (root / "refs" / commit).read_text("utf-8").strip()
        names = _names(root / "snapshots" / commit)
        if not names:
            return ""
        lacking = self._lacking(names, self.weights[0])
        return f" It is there in part: {', '.join(lacking[:3])} is missing." if lacking else ""

    def in_cache(self, reason: str) -> Snapshot:
        """Return the copy in the cache, or raise with the command that puts it there."""
        found = self.cached()
        if found is None:
            at = f" --revision {self.revision}" if self.revision else ""
            raise HierevalError(
                f"The checkpoint {self.name!r} must be in the cache, because {reason}."
                f"{self._partial()} 'hiereval download {self.model}{at}' fetches it where there "
                "is a network."
            )
        return found

    def fetched(self) -> Snapshot:
        """Return the newest state of the revision, fetched; without network, the cached one."""
        from huggingface_hub import HfApi, errors, snapshot_download

        try:
            info = within(
                self.places.answer_seconds,
                lambda: HfApi().model_info(self.name, revision=self.revision),
            )
            names = [file.rfilename for file in info.siblings or ()]
            group = next((g for g in self.weights if not g or _matching(names, g)), None)
            if group is None or not _matching(names, self.files):
                patterns = ", ".join(pattern for g in self.weights for pattern in g)
                raise HierevalError(
                    f"The repository {self.name!r} must hold weights ({patterns}) and their "
                    f"configuration; it holds {', '.join(names) or 'nothing'}."
                )
            folder = snapshot_download(
                self.name,
                revision=self.revision,
                cache_dir=self.places.hub,
                allow_patterns=[*self.files, *group],
            )
        except errors.GatedRepoError as error:
            raise HierevalError(
                f"The repository {self.name!r} must be opened to you: accept its terms at "
                f"https://huggingface.co/{self.name} and set HF_TOKEN."
            ) from error
        except errors.RepositoryNotFoundError as error:
            raise HierevalError(
                f"The repository {self.name!r} must exist on the hub and be readable "
                "(HF_TOKEN opens private ones). 'hiereval ls models' lists known models."
            ) from error
        except errors.RevisionNotFoundError as error:
            raise HierevalError(
                f"The revision {self.revision!r} must be a branch, tag or commit of {self.name!r}."
            ) from error
        except HierevalError:
            raise
        except Exception as error:  # no network, in each library's own way
            return self.in_cache(f"it could not be fetched ({_first_line(error)})")
        return Snapshot(Path(folder), Path(folder).name)


def _names(folder: Path) -> list[str]:
    """Return the files of a folder and below, as paths from it; broken links are no files."""
    return sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    )


def _matching(names: Sequence[str], patterns: Sequence[str]) -> bool:
    return any(fnmatch(name, pattern) for name in names for pattern in patterns)


def _first_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}".rstrip(": ")


def within(seconds: float, work: Callable[[], T]) -> T:
    """Return work(), or raise TimeoutError; a name server that never answers blocks no exit."""
    results: list[T] = []
    failures: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if failures:
        raise failures[0]
    if not results:
        raise TimeoutError(f"no answer within {seconds:g} s")
    return results[0]
