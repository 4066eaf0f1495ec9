"""The hub: one snapshot at a pinned commit, then local files; without network one line."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from hiereval import snapshots
from hiereval.adapters.hf_clip import HFClip
from hiereval.errors import HierevalError
from hiereval.places import Places
from hiereval.types import LoadOptions

COMMIT, OLDER = "a" * 40, "b" * 40
REPOSITORY = "someone/tiny-clip"
Folder = Callable[[str], Path]


# --- without the hub -----------------------------------------------------------------------------


def _refusal(checkpoint: str, *, offline: bool = False, **options: Any) -> str:
    places = Places.of(offline=offline)
    with pytest.raises(HierevalError) as caught:
        snapshots.snapshot("hf-clip", checkpoint, LoadOptions(places=places, **options))
    return str(caught.value)


def test_a_folder_is_taken_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert snapshots.snapshot("x", str(tmp_path), LoadOptions()) == snapshots.Snapshot(
        tmp_path, None
    )
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "model").mkdir()
    found = snapshots.snapshot("x", "~/model", LoadOptions(places=Places.of(offline=True)))
    assert found == snapshots.Snapshot(tmp_path / "model", None)


def test_a_folder_has_no_revision(tmp_path: Path) -> None:
    assert _refusal(str(tmp_path), revision="main") == (
        f"The revision 'main' must be left out: '{tmp_path}' is a folder."
    )


@pytest.mark.parametrize("checkpoint", ["/no/such/folder", "./here", "~/there", "a/b/c", "a b"])
def test_what_is_neither_folder_nor_repository_is_refused(checkpoint: str) -> None:
    assert _refusal(checkpoint) == (
        f"The checkpoint {checkpoint!r} must be an existing folder or a hub repository such as "
        "'openai/clip-vit-base-patch32'."
    )


def test_offline_with_an_empty_cache_names_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert _refusal(REPOSITORY, offline=True) == (
        "The checkpoint 'someone/tiny-clip' must be in the cache, because this run is offline. "
        "'hiereval download hf-clip:someone/tiny-clip' fetches it where there is a network."
    )
    assert "hf-clip:someone/tiny-clip --revision v1'" in _refusal(
        REPOSITORY, offline=True, revision="v1"
    )


def _cache(base: Path, source: Path, names: list[str]) -> Path:
    """Lay out a cache as huggingface_hub does."""
    root = base / "models--someone--tiny-clip"
    (root / "refs").mkdir(parents=True)
    (root / "refs" / "main").write_text(COMMIT)
    snapshot = root / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    for name in names:
        shutil.copy(source / name, snapshot)
    return snapshot


@pytest.mark.parametrize("revision", [None, "main", COMMIT])
def test_a_cached_copy_serves_offline(
    revision: str | None, checkpoint: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = checkpoint("clip")
    snapshot = _cache(tmp_path, source, os.listdir(source))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    adapter = HFClip(REPOSITORY, LoadOptions(revision=revision, places=Places.of(offline=True)))
    assert adapter.files.folder == snapshot
    assert (adapter.id.revision, adapter.id.name) == (COMMIT, "tiny-clip")
    assert adapter.id.fingerprint() == HFClip(str(source), LoadOptions()).id.fingerprint()


def test_a_cached_copy_without_weights_serves_a_random_initialisation_alone(
    checkpoint: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = checkpoint("clip")
    _cache(tmp_path, source, [n for n in os.listdir(source) if n != "model.safetensors"])
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert _refusal(REPOSITORY, offline=True).startswith("The checkpoint 'someone/tiny-clip' must")
    adapter = HFClip(REPOSITORY, LoadOptions(random_init=0, places=Places.of(offline=True)))
    assert adapter.encode_texts(["a bird"]).shape == (1, 24)


def test_a_cache_that_holds_a_part_says_which(
    checkpoint: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = checkpoint("clip")
    snapshot = _cache(tmp_path, source, [n for n in os.listdir(source) if n != "model.safetensors"])
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    command = "'hiereval download hf-clip:someone/tiny-clip' fetches it where there is a network."
    begin = (
        "The checkpoint 'someone/tiny-clip' must be in the cache, because this run is offline. It "
        "is there in part: "
    )
    assert _refusal(REPOSITORY, offline=True) == (
        f"{begin}model.safetensors or model-*-of-*.safetensors is missing. {command}"
    )
    shutil.copy(source / "model.safetensors", snapshot / "model-00002-of-00003.safetensors")
    assert _refusal(REPOSITORY, offline=True) == (
        f"{begin}model-00001-of-00003.safetensors, model-00003-of-00003.safetensors is missing. "
        f"{command}"
    )


def test_a_caches_folder_is_refused_for_its_snapshot(checkpoint: Folder, tmp_path: Path) -> None:
    source = checkpoint("clip")
    snapshot = _cache(tmp_path, source, os.listdir(source))
    folder = tmp_path / "models--someone--tiny-clip"
    assert _refusal(str(folder)) == (
        f"The checkpoint '{folder}' must be given as 'someone/tiny-clip' or '{snapshot}': it is "
        "the folder in which the hub's cache keeps all states of that repository."
    )
    assert HFClip(str(snapshot), LoadOptions()).id.name == "tiny-clip"


def test_a_subfolder_of_a_repository_serves_from_the_cache(
    checkpoint: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = _cache(tmp_path, checkpoint("clip"), [])
    shutil.copytree(checkpoint("clip"), snapshot / "0_CLIPModel")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    options = LoadOptions(places=Places.of(offline=True))
    adapter = HFClip(REPOSITORY, options, subfolder="0_CLIPModel")
    expected = HFClip(str(checkpoint("clip")), LoadOptions()).id.fingerprint()
    assert adapter.id.fingerprint() == expected
    with pytest.raises(HierevalError) as caught:
        HFClip(REPOSITORY, options, subfolder="1_CLIPModel")
    assert str(caught.value).endswith(
        "'hiereval download hf-clip:someone/tiny-clip --model-args subfolder=1_CLIPModel' fetches "
        "it where there is a network."
    )


# --- with a hub on this machine ------------------------------------------------------------------


class _Hub(ThreadingHTTPServer):
    """Enough of the hub's interface for model_info and snapshot_download."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.requests: list[str] = []
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Hub

    def log_message(self, *arguments: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, body: bool) -> None:
        path = self.path.partition("?")[0]
        self.server.requests.append(path)
        files = sorted(self.server.folder.iterdir())
        api = f"/api/models/{REPOSITORY}"
        if path in (api, f"{api}/revision/main", f"{api}/revision/{COMMIT}"):
            names = [{"rfilename": file.name} for file in files]
            self._send(json.dumps({"id": REPOSITORY, "sha": COMMIT, "siblings": names}), body)
        elif path == f"{api}/tree/{COMMIT}":
            rows = [
                {"type": "file", "path": f.name, "size": f.stat().st_size, "oid": _etag(f)}
                for f in files
            ]
            self._send(json.dumps(rows), body)
        elif path.startswith(f"/{REPOSITORY}/resolve/{COMMIT}/"):
            file = self.server.folder / path.rpartition("/")[2]
            self._send(file.read_bytes(), body, etag=_etag(file))
        else:
            kind = "RevisionNotFound" if REPOSITORY in path else "RepoNotFound"
            self._send(b"{}", body, status=404, error=kind)

    def _send(
        self,
        content: str | bytes,
        body: bool,
        status: int = 200,
        etag: str | None = None,
        error: str | None = None,
    ) -> None:
        data = content.encode() if isinstance(content, str) else content
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("X-Repo-Commit", COMMIT)
        if etag:
            self.send_header("ETag", f'"{etag}"')
        if error:
            self.send_header("X-Error-Code", error)
        self.end_headers()
        if body:
            self.wfile.write(data)


def _etag(file: Path) -> str:
    return hashlib.sha1(file.read_bytes()).hexdigest()


@pytest.fixture
def served(checkpoint: Folder, tmp_path: Path) -> Iterator[_Hub]:
    """A hub that holds a small CLIP, a pickle of it and a large file that nobody needs."""
    folder = tmp_path / "served"
    shutil.copytree(checkpoint("clip"), folder)
    (folder / "pytorch_model.bin").write_bytes(b"not needed beside safetensors")
    (folder / "flax_model.msgpack").write_bytes(b"not needed at all")
    with _Hub(folder) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()


PROGRAM = """
import sys, json
from hiereval.adapters.hf_clip import HFClip
from hiereval.errors import HierevalError
from hiereval.places import Places
from hiereval.types import LoadOptions
repository, revision, *offline = sys.argv[1:]
places = Places.of(offline=bool(offline))
try:
    found = HFClip(repository, LoadOptions(revision=revision or None, places=places))
    print(json.dumps([found.id.revision, found.id.fingerprint(), str(found.files.folder)]))
except HierevalError as error:
    print(error)
"""


def _elsewhere(
    endpoint: str, home: Path, revision: str = "", *offline: str, repository: str = REPOSITORY
) -> str:
    """Open the model in a process of its own, which has another hub and cache."""
    environment = {
        **os.environ,
        "HF_ENDPOINT": endpoint,
        "HF_HOME": str(home),
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_DISABLE_XET": "1",
    }
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, repository, revision, *offline],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=20,
    ).stdout.strip()


def test_one_snapshot_then_local_files(served: _Hub, checkpoint: Folder, tmp_path: Path) -> None:
    endpoint = f"http://127.0.0.1:{served.server_port}"
    home = tmp_path / "home"
    first = json.loads(_elsewhere(endpoint, home))
    expected = HFClip(str(checkpoint("clip")), LoadOptions()).id.fingerprint()
    assert first[:2] == [COMMIT, expected]
    names = {path.name for path in Path(first[2]).iterdir()}
    assert names == set(os.listdir(checkpoint("clip")))  # no pickle, no other framework's weights

    served.requests.clear()
    assert json.loads(_elsewhere(endpoint, home, COMMIT)) == first  # pinned: nothing to ask
    assert json.loads(_elsewhere(endpoint, home, "", "offline")) == first
    assert served.requests == []

    served.shutdown()  # the network goes away: the cached copy of the branch serves
    served.server_close()
    assert json.loads(_elsewhere(endpoint, home)) == first


def test_unknown_repository_and_revision(served: _Hub, tmp_path: Path) -> None:
    endpoint = f"http://127.0.0.1:{served.server_port}"
    assert _elsewhere(endpoint, tmp_path, "no-such-branch") == (
        "The revision 'no-such-branch' must be a branch, tag or commit of 'someone/tiny-clip'."
    )
    assert _elsewhere(endpoint, tmp_path, repository="someone/else") == (
        "The repository 'someone/else' must exist on the hub and be readable (HF_TOKEN opens "
        "private ones). 'hiereval ls models' lists known models."
    )


def test_a_repository_without_weights_says_what_it_holds(served: _Hub, tmp_path: Path) -> None:
    for name in ("model.safetensors", "pytorch_model.bin", "flax_model.msgpack"):
        (served.folder / name).unlink()
    message = _elsewhere(f"http://127.0.0.1:{served.server_port}", tmp_path)
    assert message == (
        "The repository 'someone/tiny-clip' must hold weights (model.safetensors, "
        "model-*-of-*.safetensors, pytorch_model.bin, pytorch_model-*-of-*.bin) and their "
        "configuration; it holds config.json, preprocessor_config.json, tokenizer.json, "
        "tokenizer_config.json."
    )


def test_a_hub_that_refuses_or_never_answers_is_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        message = _elsewhere(f"http://127.0.0.1:{port}", tmp_path)
    assert message == (
        "The checkpoint 'someone/tiny-clip' must be in the cache, because it could not be fetched "
        "(TimeoutError: no answer within 2.2 s). 'hiereval download hf-clip:someone/tiny-clip' "
        "fetches it where there is a network."
    )
    refused = _elsewhere(f"http://127.0.0.1:{port}", tmp_path)
    assert refused.startswith("The checkpoint 'someone/tiny-clip' must be in the cache, because it")
    assert "ConnectError" in refused
