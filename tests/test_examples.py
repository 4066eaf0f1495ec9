"""The script for services, against one on loopback that fails, throttles, times out and dies."""

from __future__ import annotations

import importlib.util
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from hiereval import wanted
from hiereval.places import Places
from hiereval.run import RunConfig, run
from hiereval.session import Session
from hiereval.toy.shapes import shapes
from hiereval.types import DataOptions

SCRIPT = Path(__file__).parents[1] / "examples" / "embed_by_api.py"


@pytest.fixture(scope="module")
def script() -> Any:
    spec = importlib.util.spec_from_file_location("embed_by_api", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    import sys

    module = importlib.util.module_from_spec(spec)
    sys.modules["embed_by_api"] = module
    spec.loader.exec_module(module)
    return module


def vector(value: str) -> list[float]:
    return [float(len(value)), float(sum(value.encode()) % 97), 1.0]


class Server:
    """Answers as a service does; `ills` are what the coming requests meet instead."""

    def __init__(self) -> None:
        self.ills: list[Any] = []
        self.bodies: list[dict[str, Any]] = []
        self.times: list[float] = []

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        body = json.loads(request.rfile.read(int(request.headers["Content-Length"])))
        self.times.append(time.monotonic())
        ill = self.ills.pop(0) if self.ills else None
        if ill == "hang":
            time.sleep(0.6)
            return
        if isinstance(ill, int):
            request.send_response(ill)
            request.send_header("Retry-After", "0.2")
            content = b'{"error": "an empty text is not allowed"}'
        else:
            self.bodies.append(body)
            request.send_response(200)
            content = json.dumps(self.content(request.path, body)).encode()
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content)

    def content(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        if path == "/cohere":
            values = body.get("texts") or body["images"]
            return {"embeddings": {"float": [vector(v) for v in values]}}
        values = body.get("input") or [
            i["content"][0].get("text") or i["content"][0].get("image_base64", "")
            for i in body["inputs"]
        ]
        rows = [{"index": i, "embedding": vector(v)} for i, v in enumerate(values)]
        return {"data": rows[::-1]}  # in any order: they are numbered


@pytest.fixture
def server() -> Iterator[tuple[Server, str]]:
    known = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            known.answer(self)

        def log_message(self, *_: Any) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever, args=(0.01,))
    thread.start()
    yield known, f"http://127.0.0.1:{http.server_address[1]}"
    http.shutdown()
    thread.join()
    http.server_close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    places = Places(cache=tmp_path / "cache", data=tmp_path / "data")
    from hiereval.datasets import head

    data = head(shapes(DataOptions(places=places)), 4)
    wanted.write(wanted.collect([data], "entity"), tmp_path / "mine")
    return tmp_path / "mine"


def _run(script: Any, folder: Path, service: str, url: str, *more: str) -> None:
    quick = ("--per-minute", "6000", "--batch-size", "5", "--timeout", "0.3", "--attempts", "4")
    script.main([str(folder), "--service", service, "--model", "m", "--url", url, *quick, *more])


@pytest.mark.parametrize("service", ["openai", "cohere", "voyage"])
def test_vectors_stand_where_the_index_says_whatever_happens(
    script: Any, folder: Path, server: tuple[Server, str], service: str
) -> None:
    known, url = server
    known.ills = [503, None, 429, "hang"]
    _run(script, folder, service, f"{url}/{service}")
    index = json.loads((folder / "index.json").read_text())
    tensors = load_file(folder / "embeddings.safetensors")
    assert tensors["text"].tolist() == [vector(text) for text in index["texts"]]
    assert index["root_text"] == "entity"
    assert ("image" in tensors) == ("images" in index) == (service != "openai")
    if service != "openai":
        files = [row["file"] for row in script.lines(folder / "images.jsonl")]
        wanted_ = [vector(script.address(folder / file)) for file in files]
        assert tensors["image"].tolist() == wanted_
    assert known.times[1] - known.times[0] >= 0.2  # Retry-After


def test_a_run_that_was_stopped_goes_on(
    script: Any, folder: Path, server: tuple[Server, str], capsys: pytest.CaptureFixture[str]
) -> None:
    known, url = server
    known.ills = [None, 400]
    with pytest.raises(SystemExit) as caught:
        _run(script, folder, "openai", url)
    assert str(caught.value) == (
        'The service refused: 400: {"error": "an empty text is not allowed"}'
    )
    with (folder / script.KEPT).open("a") as file:
        file.write('{"kind": "text", "row": 5, "vec')  # killed while it wrote
    _run(script, folder, "openai", url)
    texts = [text for body in known.bodies for text in body["input"]]
    assert texts == script.lines(folder / "texts.jsonl")  # each once
    assert len(load_file(folder / "embeddings.safetensors")["text"]) == len(texts)


def test_a_service_that_never_answers_ends_the_run(
    script: Any, folder: Path, server: tuple[Server, str]
) -> None:
    known, url = server
    known.ills = [503] * 4
    with pytest.raises(SystemExit) as caught:
        _run(script, folder, "openai", url)
    assert str(caught.value) == (
        'The service did not answer in 4 attempts: 503: {"error": "an empty text is not allowed"}. '
        "Run this again."
    )
    assert len(known.times) == 4


def test_requests_keep_their_distance(script: Any, server: tuple[Server, str]) -> None:
    known, url = server
    ask = script.Asker(url, "", 600.0, 1, 1.0)
    for _ in range(3):
        ask({"input": ["a"]})
    gaps = [b - a for a, b in zip(known.times, known.times[1:], strict=False)]
    assert min(gaps) > 0.08


def test_the_folder_is_a_model(
    script: Any, folder: Path, server: tuple[Server, str], tmp_path: Path
) -> None:
    _run(script, folder, "voyage", f"{server[1]}/voyage")
    session = Session.of(device="cpu", cache_dir=tmp_path / "cache")
    config = RunConfig(
        model=f"precomputed:{folder}", datasets=("shapes",), tasks="ordering", limit=4
    )
    record = run(session, config)[0]
    assert (record.status, record.model.root_text) == ("ok", "entity")
