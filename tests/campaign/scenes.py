"""What each command is run on, and what must hold after a kill and at the end."""

from __future__ import annotations

import json
import os
import shutil
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hiereval import appending, reading, upkeep, vector_shards
from hiereval.leaderboard.marked import MADE
from hiereval.probes import artefacts
from hiereval.samples import SUFFIX
from hiereval.samples import read as read_samples
from hiereval.store import Store

CHAIN = "shape => {0} => {1} {0} => a {1} {0} above a {2} star"
KINDS = [("circle", "red"), ("square", "blue"), ("heart", "green"), ("star", "gold")]


def chains(path: Path, n: int = 24) -> Path:
    """Write a few chains in the toy's words, with negatives."""
    lines = ["positive,negative"]
    for i in range(n):
        kind, colour = KINDS[i % 4]
        other, another = KINDS[(i + 1) % 4]
        last = KINDS[(i // 4) % 4][1]
        lines.append(f"{CHAIN.format(kind, colour, last)},{CHAIN.format(other, another, last)}")
    path.write_text("\n".join(lines) + "\n")
    return path


@dataclass(frozen=True)
class Scene:
    """A command in a folder of its own: how it is called, what is checked, and what it leaves."""

    name: str
    arguments: Callable[[Path], list[str]]
    check: Callable[[Path], None]  # after a kill: whole or not there
    result: Callable[[Path], Any]  # at the end: equal to what an undisturbed one gives
    prepare: Callable[[Path], object] = lambda folder: None


def leftovers(folder: Path) -> list[str]:
    """Return what only an unfinished command leaves."""
    return sorted(
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.name.endswith((".part", ".unfinished", ".damaged", ".torn"))
    )


# --- run -----------------------------------------------------------------------------------------


def _run(folder: Path) -> list[str]:
    flags = "--model toy --tasks ordering,entailment --controls words --resamples 5 --log-samples"
    where = ["--cache-dir", str(folder / "cache"), "--output-path", str(folder / "out")]
    return ["run", *flags.split(), "--dataset", str(chains(folder / "few.csv")), *where]


def check_records(folder: Path) -> None:
    """Records are whole, none stands twice; samples are whole; so are stored vectors."""
    found = [record for path in _files(folder, "*.jsonl") for record in reading.read(path)]
    ids = [record.record_id for record in found]
    assert len(ids) == len(set(ids)), "a record stands twice"
    for path in _files(folder, f"*{SUFFIX}"):
        read_samples(path)
    check_vectors(folder)


def check_vectors(folder: Path) -> None:
    """Stored vectors are whole, and none stands twice."""
    for shelf in Store(folder / "cache").shelves():
        assert sum(upkeep.verify(shelf)) == len(shelf), "a vector is damaged"
        keys = [key for s in shelf.opened for key in s.keys(slice(None)).tolist()]  # type: ignore[arg-type]
        assert len(keys) == len(set(map(tuple, keys))), "a vector is stored twice"


def _files(folder: Path, pattern: str) -> Iterator[Path]:
    for path in sorted((folder / "out").rglob(pattern)):
        if path.name.endswith(SUFFIX) == pattern.endswith(SUFFIX):
            yield path


def measured(folder: Path) -> Any:
    """Return every record's numbers by its identity, and how many vectors are stored."""
    found = {
        (path.name, record.record_id): record.model_dump(mode="json")["metrics"]
        for path in _files(folder, "*.jsonl")
        for record in reading.read(path)
    }
    vectors = {shelf.folder.name: len(shelf) for shelf in Store(folder / "cache").shelves()}
    samples = sorted(path.name for path in _files(folder, f"*{SUFFIX}"))
    return found, vectors, samples, leftovers(folder)


# --- fit and finetune ----------------------------------------------------------------------------


def _fit(folder: Path) -> list[str]:
    flags = "--model toy --probe learned-root --probe-args epochs=2,batch=8"
    where = ["--cache-dir", str(folder / "cache"), "--out", str(folder / "out")]
    return ["fit", *flags.split(), "--train-data", str(chains(folder / "few.csv")), *where]


def _fitted_whole(folder: Path) -> None:
    if (folder / "out").exists():
        _fitted(folder)
    check_vectors(folder)


def _fitted(folder: Path) -> Any:
    from hiereval.models import open_adapter
    from hiereval.types import LoadOptions

    found = artefacts.load(folder / "out", open_adapter("toy", LoadOptions(), {}).id)
    weights = [one.training.probe_sha256 for one in found]
    assert len(weights) == 6, "a probe is lacking"
    return weights, leftovers(folder)


def _finetune(folder: Path) -> list[str]:
    flags = ["--model", "toy", "--lr", "1e-4", "--save-every", "1", "--batch", "8"]
    where = ["--cache-dir", str(folder / "cache"), "--out", str(folder / "out")]
    out = folder / "out"
    resumed = (out / "state.pt").exists() or (out / "model").exists()
    data = str(chains(folder / "few.csv"))
    return ["finetune", *flags, "--data", data, *where, *["--resume"] * resumed]


def _tuned_whole(folder: Path) -> None:
    model = folder / "out" / "model"
    if model.exists():
        assert (model / "model.safetensors").stat().st_size > 0
    check_vectors(folder)


def _tuned(folder: Path) -> Any:
    out = folder / "out"
    names = sorted(str(p.relative_to(out)) for p in out.rglob("*") if p.is_file())
    weights = [(out / name).read_bytes() for name in names if name.endswith(".safetensors")]
    return names, weights, (out / "losses.jsonl").read_bytes(), leftovers(folder)


# --- encode --------------------------------------------------------------------------------------

_SEEN = "seen.json"


def _pictures(folder: Path) -> Path:
    """Write 24 pictures, two of one content, into a folder."""
    import numpy as np
    from PIL import Image

    pictures = folder / "pictures"
    pictures.mkdir()
    for i in range(24):
        pixels = np.random.default_rng(i % 23).integers(0, 255, (48, 48, 3), np.uint8)
        Image.fromarray(pixels).save(pictures / f"{i:02d}.png")
        os.utime(pictures / f"{i:02d}.png", (0, 0))  # shards say of which files they are
    return pictures


def _tars(folder: Path) -> None:
    """Write the same pictures into four tars."""
    pictures = _pictures(folder)
    for number in range(4):
        with tarfile.open(folder / f"t-{number}.tar", "w") as tar:
            for i in range(6 * number, 6 * number + 6):
                tar.add(pictures / f"{i:02d}.png", f"{i:02d}.png")
        os.utime(folder / f"t-{number}.tar", (0, 0))


def _encode(images: str) -> Callable[[Path], list[str]]:
    def arguments(folder: Path) -> list[str]:
        (folder / "texts.jsonl").write_text('"a circle"\n"a red circle"\n')
        flags = ["encode", "--model", "toy", "--batch-size", "4", "--device", "cpu"]
        where = ["--cache-dir", str(folder / "cache"), "--out", str(folder / "out")]
        given = ["--images", str(folder / images), "--texts", str(folder / "texts.jsonl")]
        return [*flags, *given, *where]

    return arguments


def _shards_whole(folder: Path) -> None:
    """Shards are whole, and none that was there has been written again."""
    there = sorted((folder / "out").glob("*.safetensors"))
    for path in there:
        assert vector_shards.metadata(path) is not None, "half a shard"
    noted = folder / _SEEN
    seen = json.loads(noted.read_text()) if noted.exists() else {}
    now = {path.name: path.stat().st_ino for path in there}
    assert seen.items() <= now.items(), "a shard was written again"
    noted.write_text(json.dumps(now))


def _encoded(folder: Path) -> Any:
    """Return every byte of the output."""
    if (folder / _SEEN).exists():
        _shards_whole(folder)
    return {p.name: p.read_bytes() for p in (folder / "out").iterdir()}, leftovers(folder)


# --- what is written from records ----------------------------------------------------------------


def _old_board(folder: Path) -> None:
    """Put records there, and an older board that is to be replaced."""
    from support.made_records import make_record

    for i in range(3):
        made = make_record(record_id=str(i), timestamp=datetime(2026, 1, 1, i, tzinfo=UTC))
        appending.append(folder / "results" / "toy.jsonl", made)
    for name in ("board.html", *_EXPORTED):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(OLD)


OLD = f"the old one\n<!-- {MADE} -->\n"  # of ours, so that it may be written again
_HOME = "export/results/org__toy/0123456789abcdef0123456789abcdef01234567"
_EXPORTED = (f"{_HOME}/HierarcapsOrdering.json", f"{_HOME}/model_meta.json")


def _leaderboard(folder: Path) -> list[str]:
    return ["leaderboard", str(folder / "results"), "--out", str(folder / "board.html")]


def _board_whole(folder: Path) -> None:
    text = (folder / "board.html").read_text()
    assert text == OLD or text.rstrip().endswith("</html>"), "half a board"


def _export(folder: Path) -> list[str]:
    return ["export", str(folder / "results"), "--format", "mteb", "--out", str(folder / "export")]


def _export_whole(folder: Path) -> None:
    for name in _EXPORTED:
        text = (folder / name).read_text()
        assert text == OLD or json.loads(text), "half a file"


SCENES = {
    "run": Scene("run", _run, check_records, measured),
    "fit": Scene("fit", _fit, _fitted_whole, _fitted),
    "finetune": Scene("finetune", _finetune, _tuned_whole, _tuned),
    "encode": Scene("encode", _encode("t-{0..3}.tar"), _shards_whole, _encoded, _tars),
    "encode a folder": Scene(
        "encode a folder", _encode("pictures"), _shards_whole, _encoded, _pictures
    ),
    "leaderboard": Scene(
        "leaderboard",
        _leaderboard,
        _board_whole,
        lambda folder: ((folder / "board.html").read_text(), leftovers(folder)),
        _old_board,
    ),
    "export": Scene(
        "export",
        _export,
        _export_whole,
        lambda folder: ([(folder / name).read_text() for name in _EXPORTED], leftovers(folder)),
        _old_board,
    ),
}


def fresh(folder: Path) -> Path:
    """Return an empty folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
