"""Inputs that are broken on purpose: each is one line and exit code 2, or it is read."""

from __future__ import annotations

import gzip
import json
import os
import random
import resource
import select
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from support.made_records import make_record

from campaign.scenes import chains, fresh
from hiereval import appending, seals

SECONDS = 10.0  # after which an input hangs
MEGABYTES = 1000.0  # of memory beyond what was there before
BATCH = 50  # inputs a child takes
WORDS = [
    b"null", b"NaN", b"-Infinity", b"1e999", b"9" * 30, b"-1", b"0", b"true", b'""', b"[]", b"{}",
    b"\\ud800", b"\\u0000", b"\0", b"\xff\xfe", b"\xf0\x9f\x92\xa9", b"'", b'"', b",", b"\n",
    b"\r", b"=>", b"=> =>", b"[" * 2000, b'{"a":' * 200, b"A" * 5000, b"../../etc/passwd", b"%s",
    b"\x1b[31m", b"<script>", b"${HOME}", b"\xe2\x80\xae", b"1" * 5000,
]  # fmt: skip


@dataclass(frozen=True)
class Input:
    """A kind of input: a good one, and the command that reads it from a folder."""

    make: Callable[[Path], Path]  # the file that is mutated
    arguments: Callable[[Path], list[str]]
    environment: Callable[[Path], dict[str, str]] = lambda folder: {}
    packed: bool = False
    seal: str = ""  # "lines" or "file": a stranger can make checksums, too


@dataclass(frozen=True)
class Mutations:
    """What came of it."""

    tried: int
    accepted: int
    refused: int
    megabytes: float  # most that a batch took beyond what was there
    seconds: float  # of the slowest
    problems: list[str]


def mutate(name: str, n: int, seed: int, base: Path) -> Mutations:
    """Give a command n mutated inputs, in children that take some each."""
    accepted = refused = 0
    most = slowest = 0.0
    problems: list[str] = []
    for start in range(0, n, BATCH):
        numbers = range(start, min(start + BATCH, n))
        for line in _in_a_child(name, numbers, seed, fresh(base / name), problems):
            accepted += line["code"] == 0
            refused += line["code"] == 2
            most, slowest = max(most, line["megabytes"]), max(slowest, line["seconds"])
            if line["problem"]:
                problems.append(f"{name}, input {line['number']}: {line['problem']}")
    if most > MEGABYTES:
        problems.append(f"{name}: {most:,.0f} MB")
    return Mutations(n, accepted, refused, most, slowest, problems)


def _in_a_child(name, numbers, seed, folder, problems):  # type: ignore[no-untyped-def]
    """Yield what a child tells of each input; one that hangs or dies is a problem."""
    numbers = list(numbers)
    while numbers:
        reader, writer = os.pipe()
        sys.stdout.flush()
        if (child := os.fork()) == 0:
            os.close(reader)
            try:
                _tell(name, numbers, seed, folder, writer)
            finally:
                os._exit(0)
        os.close(writer)
        with os.fdopen(reader, "rb") as told:
            while numbers:
                if not select.select([told], [], [], SECONDS)[0]:
                    problems.append(f"{name}, input {numbers.pop(0)}: more than {SECONDS} s")
                    os.kill(child, signal.SIGKILL)
                    break
                line = told.readline()
                if not line:
                    problems.append(f"{name}, input {numbers.pop(0)}: the process died")
                    break
                numbers.pop(0)
                yield json.loads(line)
        os.waitpid(child, 0)


def _tell(name: str, numbers: list[int], seed: int, folder: Path, writer: int) -> None:
    said = os.open(folder / "said", os.O_CREAT | os.O_RDWR | os.O_TRUNC)
    os.dup2(said, 1)
    os.dup2(said, 2)
    sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
    before = _megabytes()
    for number in numbers:
        os.ftruncate(said, 0)
        os.lseek(said, 0, os.SEEK_SET)
        started = time.monotonic()
        code = _try(name, random.Random(f"{seed}/{name}/{number}"), folder)
        with suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        text = (folder / "said").read_bytes().decode("utf-8", "replace")
        if code == 1 and "not verified: " in text:  # what `verify` answers of a record
            code = 2
        odd = code not in (0, 2) or "a defect in hiereval" in text or "Traceback" in text
        line = {
            "number": number,
            "code": code,
            "seconds": time.monotonic() - started,
            "megabytes": _megabytes() - before,
            "problem": f"exit {code}: {text[-700:]}" if odd else "",
        }
        os.write(writer, (json.dumps(line) + "\n").encode())


def _megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def _try(name: str, numbers: random.Random, folder: Path) -> int:
    from hiereval.cli import main

    here = fresh(folder / "input")
    os.chdir(here)
    if name == "options":
        arguments = options(numbers, here)
    else:
        kind = INPUTS[name]
        path = kind.make(here)
        content = path.read_bytes()
        if kind.packed and numbers.random() < 0.7:
            content = gzip.compress(mutated(gzip.decompress(content), numbers), 1)
        elif kind.seal and numbers.random() < 0.9:
            content = _sealed(content, kind.seal, numbers)
        else:
            content = mutated(content, numbers)
        path.write_bytes(content)
        arguments = kind.arguments(here)
        os.environ.update(kind.environment(here))
    os.environ["HIEREVAL_CACHE"] = str(folder / "cache")
    try:
        main(arguments)
    except SystemExit as left:
        return int(left.code or 0)
    except BaseException as error:
        print(f"Traceback: {type(error).__name__}: {error}", flush=True)
        return 99
    return 0


def mutated(content: bytes, numbers: random.Random) -> bytes:
    """Return bytes with one to four changes."""
    for _ in range(numbers.choice((1, 1, 2, 4))):
        at = numbers.randrange(len(content) + 1)
        end = min(len(content), at + numbers.choice((0, 1, 1, 8, 100)))
        change = numbers.randrange(8)
        if change == 0 and at < len(content):
            flipped = content[at] ^ (1 << numbers.randrange(8))
            content = content[:at] + bytes([flipped]) + content[at + 1 :]
        elif change == 1:
            content = content[:at] + content[end:]
        elif change == 2:
            content = content[:at]
        elif change == 3:
            content = content[:at] + content[at:end] * numbers.choice((2, 50)) + content[end:]
        elif change == 4:
            lines = content.split(b"\n")
            lines.insert(numbers.randrange(len(lines)), numbers.choice(lines))
            content = b"\n".join(lines)
        elif change == 5:
            content = _value(content, numbers)
        else:
            content = content[:at] + numbers.choice(WORDS) + content[end:]
    return content


def _sealed(content: bytes, what: str, numbers: random.Random) -> bytes:
    """Mutate what a checksum is of, and make the checksum anew."""
    if what == "lines":
        plain = b"\n".join(
            line.rpartition(b',"checksum"')[0] + b"}" for line in content.splitlines()
        )
        for _ in range(numbers.choice((1, 2))):
            plain = _value(plain, numbers)
        return b"".join(
            seals.sealed(line.decode("utf-8", "replace")) for line in plain.splitlines()
        )
    value = json.loads(content)
    del value["checksum"]
    value = json.loads(_value(json.dumps(value).encode(), numbers))
    if not isinstance(value, dict):
        return json.dumps(value).encode()
    return json.dumps({**value, "checksum": seals._checksum(value)}).encode()


def _value(content: bytes, numbers: random.Random) -> bytes:
    """Replace a value of a JSON document, or of one line, by another kind of value."""
    lines = content.split(b"\n")
    whole = content.lstrip()[:1] in (b"{", b"[") and len(lines) > 1 and lines[0].strip() in b"[{"
    number = 0 if whole else numbers.randrange(len(lines))
    try:
        value = json.loads(content if whole else lines[number])
    except ValueError:
        return content
    holder = value
    for _ in range(numbers.randint(0, 4)):
        inner = (
            holder[_key(holder, numbers)] if isinstance(holder, dict | list) and holder else None
        )
        if not isinstance(inner, dict | list) or not inner:
            break
        holder = inner
    if isinstance(holder, dict | list) and holder:
        other = numbers.choice(
            [None, 10**25, -1, 0, 1e308, "x", "", [], {}, "\ud800", "\0", True, [[1]], "9" * 300]
        )
        holder[_key(holder, numbers)] = other
    text = json.dumps(value).encode()
    if not whole:
        lines[number] = text
        return b"\n".join(lines)
    return text


def _key(holder, numbers):  # type: ignore[no-untyped-def]
    return (
        numbers.choice(list(holder)) if isinstance(holder, dict) else numbers.randrange(len(holder))
    )


# --- the kinds -----------------------------------------------------------------------------------


def _scored(data: str) -> Callable[[Path], list[str]]:
    flags = "--tasks ordering --controls none --resamples 5 --offline"
    return lambda folder: [
        "run", "--model", "control:words", "--dataset", str(folder / data), *flags.split(),
        "--output-path", str(folder / "out"),
    ]  # fmt: skip


def _jsonl(folder: Path) -> Path:
    rows = [["shape", "circle", "red circle"], ["shape", "star", "blue star"]]
    path = folder / "few.jsonl"
    path.write_text("".join(json.dumps({"captions": row}) + "\n" for row in rows))
    return path


def _packed(folder: Path) -> Path:
    path = folder / "few.csv.gz"
    path.write_bytes(gzip.compress(chains(folder / "few.csv").read_bytes()))
    return path


def _records(folder: Path) -> Path:
    path = folder / "r.jsonl"
    for i in range(2):
        appending.append(path, make_record(record_id=str(i)))
    return path


def _samples(folder: Path) -> Path:
    from hiereval.cli import main

    chains(folder / "few.csv", 4)
    with suppress(SystemExit):
        main([*_scored("few.csv")(folder), "--log-samples"])
    (path,) = (folder / "out").rglob("*.samples.jsonl")
    return path


def _precomputed(folder: Path) -> Path:
    import torch
    from safetensors.torch import save_file

    chains(folder / "few.csv", 4)
    rows = (folder / "few.csv").read_text().splitlines()[1:]
    parts = [part.strip() for row in rows for side in row.split(",") for part in side.split("=>")]
    texts = list(dict.fromkeys(["", *parts]))
    (folder / "p").mkdir()
    save_file(
        {"text": torch.arange(4.0 * len(texts)).reshape(-1, 4)},
        folder / "p" / "embeddings.safetensors",
    )
    (folder / "p" / "index.json").write_text(json.dumps({"texts": texts, "name": "p"}, indent=1))
    return folder / "p" / "index.json"


def _precomputed_weights(folder: Path) -> Path:
    return _precomputed(folder).with_name("embeddings.safetensors")


def _run_precomputed(folder: Path) -> list[str]:
    arguments = _scored("few.csv")(folder)
    arguments[2] = f"precomputed:{folder / 'p'}"
    return arguments


def _aliases(folder: Path) -> Path:
    path = folder / "models.toml"
    path.write_text(
        '[mine]\nadapter = "hf-clip"\ncheckpoint = "org/mine"\nrevision = "0123456789abcdef"\n'
        'description = "my own"\nparameters = 1000\n'
    )
    return path


def _fitting(folder: Path) -> Path:
    from campaign.flips import probe
    from hiereval.models import open_adapter
    from hiereval.types import LoadOptions

    _precomputed(folder)
    model = open_adapter(f"precomputed:{folder / 'p'}", LoadOptions(), {}).id
    return probe(folder, model, 4) / "card.json"


def _predictions(folder: Path) -> Path:
    path = folder / "predictions.jsonl"
    lines = [{"image": f"test-000{i}", "chain": ["shape", "red circle"]} for i in range(3)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


INPUTS = {
    "csv": Input(lambda folder: chains(folder / "few.csv"), _scored("few.csv")),
    "jsonl": Input(_jsonl, _scored("few.jsonl")),
    "csv.gz": Input(_packed, _scored("few.csv.gz"), packed=True),
    "records, validate": Input(
        _records, lambda folder: ["validate", str(folder / "r.jsonl")], seal="lines"
    ),
    "records, leaderboard": Input(
        _records, lambda folder: ["leaderboard", str(folder / "r.jsonl"), "--format", "html"],
        seal="lines",
    ),
    "records, table": Input(
        _records, lambda folder: ["leaderboard", str(folder / "r.jsonl")], seal="lines"
    ),
    "records, export": Input(
        _records,
        lambda folder: ["export", str(folder / "r.jsonl"), "--format", "mteb", "--out", "e"],
        seal="lines",
    ),
    "samples": Input(_samples, lambda folder: ["score", str(folder / "out")], seal="lines"),
    "precomputed index": Input(_precomputed, _run_precomputed),
    "precomputed vectors": Input(_precomputed_weights, _run_precomputed),
    "models.toml": Input(
        _aliases,
        lambda folder: ["ls", "models"],
        lambda folder: {"HIEREVAL_MODELS": str(folder / "models.toml")},
    ),
    "probe card": Input(
        _fitting,
        lambda folder: [*_run_precomputed(folder), "--probes", f"path:{folder / 'probe'}"],
        seal="file",
    ),
    "predictions": Input(
        _predictions,
        lambda folder: [
            "score", str(folder / "predictions.jsonl"), "--dataset", "shapes", "--output-path", "o",
        ],
    ),
}  # fmt: skip
SHARES = {  # of all inputs; those that end in a measurement take longer
    "csv": 0.04, "jsonl": 0.04, "csv.gz": 0.04, "predictions": 0.03, "precomputed index": 0.05,
    "precomputed vectors": 0.05, "probe card": 0.07, "samples": 0.08, "models.toml": 0.05,
    "records, validate": 0.1, "records, leaderboard": 0.1, "records, table": 0.1,
    "records, export": 0.1, "options": 0.15,
}  # fmt: skip
VALUES = [
    "", " ", "-1", "0", "1", "3", "1e9", "9" * 40, "nan", "null", "all", "none", "*", "**", "[",
    "a,b", ",", ",,", "toy", "toy:", ":", "::", "control:words", "control:", "hf-clip:.", "path:",
    "path:.", "path:/dev/null", "/dev/null", "/dev", ".", "..", "~", "few.csv", "few.csv:test",
    "shapes", "shapes:x", "a=b", "=", "a=", "=b", "steps=10", "steps=nan", "é", "\udcff",
    "x" * 5000, "\x1b[31m", "cpu", "cuda:99", "empty-root", "learned-root", "ordering", "words",
    "seed=1", "2024-01-01", "%s", "results",
]  # fmt: skip


def options(numbers: random.Random, folder: Path) -> list[str]:
    """Return a command with a few of its options, each with some value."""
    import click

    from hiereval.cli import COMMANDS, hiereval

    chains(folder / "few.csv", 4)
    _records(folder)
    harmless = [name for name in COMMANDS if name not in ("download", "finetune", "fit", "doctor")]
    name = numbers.choice(harmless)
    command = hiereval.get_command(None, name)  # type: ignore[arg-type]
    arguments = [name]
    if isinstance(command, click.Group):
        inner = numbers.choice(list(command.commands))
        command, arguments = command.commands[inner], [name, inner]
    assert command is not None
    if name == "run":  # nothing that would load a network
        arguments += ["--model", "control:words", "--dataset", "few.csv", "--controls", "none"]
        arguments += ["--resamples", "5", "--offline"]
    given = [p for p in command.params if isinstance(p, click.Option) and "help" not in p.name]
    for option in numbers.sample(given, min(len(given), numbers.randint(0, 3))):
        if name == "run" and option.name in ("model", "resamples", "offline"):
            continue
        arguments.append(option.opts[0])
        if not option.is_flag:
            arguments.append(numbers.choice(VALUES))
    for argument in command.params:
        if isinstance(argument, click.Argument):
            arguments += [numbers.choice([*VALUES, "r.jsonl", "models"])]
    return arguments
