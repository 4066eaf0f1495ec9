"""Embed what `hiereval inputs` wrote through a service, into a folder that `precomputed` reads.

    hiereval inputs hierarcaps --out my-model
    EMBED_API_KEY=... python examples/embed_by_api.py my-model --service openai \
        --model text-embedding-3-large
    hiereval run --model precomputed:my-model --dataset hierarcaps

Services: `openai` (texts; any server with POST /embeddings: vLLM, TEI, Ollama, jina by --url),
`cohere` (texts and images), `voyage` (texts and images). Every answer is appended to
`vectors.jsonl` before the next is asked for, so a run that was stopped goes on where it was. A
service that says it is busy (429, 5xx), or does not answer, is asked again, later and later, or
when its Retry-After says; `--per-minute` stays below a limit. An error that asking again cannot
mend ends the run with the service's own words.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

KEPT = "vectors.jsonl"
LONGEST_WAIT = 60.0  # seconds between two attempts, unless the service asks for more
MIME = {".jpg": "jpeg", ".jpeg": "jpeg", ".png": "png", ".webp": "webp", ".gif": "gif"}
Row = tuple[str, int]  # "text" or "image", and the place in the index


@dataclass(frozen=True)
class Service:
    """How one service is asked, and where its answer holds the vectors."""

    url: str
    body: Callable[[str, str, list[str]], dict[str, Any]]  # model, kind, texts or data addresses
    vectors: Callable[[dict[str, Any]], list[list[float]]]
    sees: bool
    images_at_once: int = 1


def _openai(model: str, kind: str, values: list[str]) -> dict[str, Any]:
    return {"model": model, "input": values, "encoding_format": "float"}


def _cohere(model: str, kind: str, values: list[str]) -> dict[str, Any]:
    plural = {"text": "texts", "image": "images"}[kind]
    use = {"text": "search_document", "image": "image"}[kind]
    return {"model": model, "input_type": use, "embedding_types": ["float"], plural: values}


def _voyage(model: str, kind: str, values: list[str]) -> dict[str, Any]:
    key, typ = {"text": ("text", "text"), "image": ("image_base64", "image_base64")}[kind]
    return {"model": model, "inputs": [{"content": [{"type": typ, key: v}]} for v in values]}


def _listed(answer: dict[str, Any]) -> list[list[float]]:
    """Return the vectors of an answer that numbers them."""
    rows = sorted(answer["data"], key=lambda row: row["index"])
    return [row["embedding"] for row in rows]


SERVICES = {
    "openai": Service("https://api.openai.com/v1/embeddings", _openai, _listed, sees=False),
    "cohere": Service(
        "https://api.cohere.com/v2/embed",
        _cohere,
        lambda answer: answer["embeddings"]["float"],
        sees=True,
    ),
    "voyage": Service(
        "https://api.voyageai.com/v1/multimodalembeddings", _voyage, _listed, sees=True,
        images_at_once=16,
    ),
}  # fmt: skip


class Asker:
    """Asks a service, at most so often a minute, and again where that can help."""

    def __init__(self, url: str, key: str, per_minute: float, attempts: int, timeout: float):
        self.url, self.attempts, self.timeout = url, attempts, timeout
        self.apart = 60.0 / per_minute
        self.last = -self.apart
        self.session = requests.Session()
        self.session.headers["Authorization"] = f"Bearer {key}"

    def __call__(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return the answer; exits with what the service said where asking again is no use."""
        said = ""
        for attempt in range(self.attempts):
            time.sleep(max(0.0, self.last + self.apart - time.monotonic()))
            self.last = time.monotonic()
            wait = min(LONGEST_WAIT, 2.0**attempt * min(1.0, self.apart))
            try:
                answer = self.session.post(self.url, json=body, timeout=self.timeout)
            except requests.RequestException as error:
                said = f"{type(error).__name__}"
            else:
                if answer.ok:
                    return dict(answer.json())
                said = f"{answer.status_code}: {' '.join(answer.text.split())[:300]}"
                if answer.status_code != 429 and answer.status_code < 500:
                    sys.exit(f"The service refused: {said}")
                wait = max(wait, _seconds(answer.headers.get("Retry-After")))
            if attempt + 1 < self.attempts:
                print(f"{said}; again in {wait:.1f} s", file=sys.stderr)
                time.sleep(wait)
        sys.exit(f"The service did not answer in {self.attempts} attempts: {said}. Run this again.")


def _seconds(given: str | None) -> float:
    try:
        return float(given or 0)
    except ValueError:  # a date
        return LONGEST_WAIT


def lines(file: Path) -> list[Any]:
    """Return the values of a file of JSON lines; [] where there is none."""
    return (
        [json.loads(x) for x in file.read_text("utf-8").split("\n") if x] if file.exists() else []
    )


def kept(file: Path) -> dict[Row, list[float]]:
    """Return the vectors that are there; a line that was cut short is taken off the file."""
    found: dict[Row, list[float]] = {}
    whole = 0
    content = file.read_bytes() if file.exists() else b""
    for line in content.splitlines(keepends=True):
        if not line.endswith(b"\n"):
            break
        row = json.loads(line)
        found[row["kind"], row["row"]] = row["vector"]
        whole += len(line)
    if whole != len(content):
        os.truncate(file, whole)
    return found


def address(file: Path) -> str:
    """Return an image's bytes as a data address."""
    kind = MIME.get(file.suffix.lower(), "jpeg")
    return f"data:image/{kind};base64,{base64.b64encode(file.read_bytes()).decode()}"


def batches(rows: Sequence[int], size: int) -> Iterator[list[int]]:
    """Yield rows in lists of at most `size`."""
    for start in range(0, len(rows), size):
        yield list(rows[start : start + size])


def embed(folder: Path, service: Service, model: str, ask: Asker, size: int) -> None:
    """Fill the folder's `vectors.jsonl`, then write `embeddings.safetensors` from it."""
    texts = lines(folder / "texts.jsonl")
    images = lines(folder / "images.jsonl") if service.sees else []
    done = kept(folder / KEPT)
    wanted: dict[str, tuple[int, int, Callable[[int], str]]] = {
        "text": (len(texts), size, lambda row: texts[row]),
        "image": (
            len(images), service.images_at_once, lambda row: address(folder / images[row]["file"])
        ),
    }  # fmt: skip
    with (folder / KEPT).open("a", encoding="utf-8") as file:
        for kind, (count, at_once, value) in wanted.items():
            missing = [row for row in range(count) if (kind, row) not in done]
            for rows in batches(missing, at_once):
                vectors = service.vectors(ask(service.body(model, kind, [value(r) for r in rows])))
                if len(vectors) != len(rows):
                    sys.exit(f"The service gave {len(vectors)} vectors for {len(rows)} {kind}s.")
                for row, vector in zip(rows, vectors, strict=True):
                    done[kind, row] = vector
                    file.write(json.dumps({"kind": kind, "row": row, "vector": vector}) + "\n")
                file.flush()
                os.fsync(file.fileno())
                print(f"{kind}s: {rows[-1] + 1:,} of {count:,}", file=sys.stderr)
    save(folder, done, len(texts), len(images))


def save(folder: Path, done: dict[Row, list[float]], texts: int, images: int) -> None:
    """Write the vectors in the index's order; without images the index lists none."""
    import torch
    from safetensors.torch import save_file

    tensors = {"text": torch.tensor([done["text", row] for row in range(texts)])}
    if images:
        tensors["image"] = torch.tensor([done["image", row] for row in range(images)])
    else:
        index = json.loads((folder / "index.json").read_text("utf-8"))
        index.pop("images", None)
        (folder / "index.json").write_text(json.dumps(index, ensure_ascii=False) + "\n", "utf-8")
    save_file(tensors, folder / "embeddings.safetensors")
    print(f"{folder / 'embeddings.safetensors'}: {texts:,} texts, {images:,} images")


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line and embed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="what 'hiereval inputs' wrote")
    parser.add_argument("--service", choices=sorted(SERVICES), required=True)
    parser.add_argument("--model", required=True, help="as the service names it")
    parser.add_argument("--url", help="another server that speaks the same")
    parser.add_argument("--per-minute", type=float, default=60.0, help="requests, at most")
    parser.add_argument("--batch-size", type=int, default=64, help="texts a request")
    parser.add_argument("--attempts", type=int, default=8)
    parser.add_argument("--timeout", type=float, default=60.0, help="seconds")
    given = parser.parse_args(arguments)
    service = SERVICES[given.service]
    key = os.environ.get("EMBED_API_KEY", "")
    ask = Asker(given.url or service.url, key, given.per_minute, given.attempts, given.timeout)
    embed(given.folder, service, given.model, ask, given.batch_size)


if __name__ == "__main__":
    main()
