"""Downloads against a real server on loopback: whole, cut short, wrong, missing, resumed."""

from __future__ import annotations

import hashlib
import os
import random
import resource
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from support.loopback import Loopback

from hiereval import download
from hiereval.commands.download import command
from hiereval.download import Remote, digest, fetch
from hiereval.errors import HierevalError

BODY = random.Random(0).randbytes(300_000)


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "PAUSE", 0.0)


@pytest.fixture
def server() -> Iterator[Loopback]:
    with Loopback({"/a.bin": BODY}) as loopback:
        yield loopback


def sha256(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def remote(server: Loopback, folder: Path, name: str = "a.bin", data: bytes = BODY) -> Remote:
    return Remote(f"{server.url}/{name}", folder / name, sha256(data), len(data))


def test_a_good_file_takes_its_name_and_is_not_fetched_again(
    server: Loopback, tmp_path: Path
) -> None:
    file = remote(server, tmp_path / "new" / "folder")
    assert fetch([file], "Data") == 1
    assert file.path.read_bytes() == BODY
    assert sorted(p.name for p in file.path.parent.iterdir()) == [".download.lock", "a.bin"]
    assert fetch([file], "Data") == 0
    assert server.requests == [("/a.bin", None)]


def test_a_cut_download_goes_on_where_it_stopped(server: Loopback, tmp_path: Path) -> None:
    server.cut["/a.bin"] = [100_000, 50_000]
    file = remote(server, tmp_path)
    fetch([file], "Data")
    assert file.path.read_bytes() == BODY
    assert server.requests == [
        ("/a.bin", None),
        ("/a.bin", "bytes=100000-"),
        ("/a.bin", "bytes=150000-"),
    ]
    assert server.sent["/a.bin"] == len(BODY)  # no byte came twice


def test_a_download_that_stays_cut_leaves_a_part_for_the_next_call(
    server: Loopback, tmp_path: Path
) -> None:
    server.cut["/a.bin"] = [10, 10, 10, 10]
    file = remote(server, tmp_path)
    with pytest.raises(HierevalError) as caught:
        fetch([file], "Data")
    head, problem = str(caught.value).split("\n")
    assert head == (
        "Data is not complete: 1 of 1 files missing. What was fetched is kept, and the same "
        "command goes on from there."
    )
    assert problem.startswith(f"  a.bin: cut short at {server.url}/a.bin: ")
    assert not file.path.exists()
    assert (tmp_path / "a.bin.part").read_bytes() == BODY[:40]
    fetch([file], "Data")
    assert server.requests[-1] == ("/a.bin", "bytes=40-")
    assert file.path.read_bytes() == BODY
    assert server.sent["/a.bin"] == len(BODY)


def test_a_body_of_undeclared_length_that_ends_early_is_resumed(
    server: Loopback, tmp_path: Path
) -> None:
    server.declare_length = False
    server.cut["/a.bin"] = [1_000]
    file = remote(server, tmp_path)
    fetch([file], "Data")
    assert file.path.read_bytes() == BODY
    assert server.requests[1] == ("/a.bin", "bytes=1000-")


def test_a_server_without_ranges_sends_all_again(server: Loopback, tmp_path: Path) -> None:
    server.ranges = False
    server.cut["/a.bin"] = [1_000]
    file = remote(server, tmp_path)
    fetch([file], "Data")
    assert file.path.read_bytes() == BODY


def test_wrong_content_never_takes_the_name(server: Loopback, tmp_path: Path) -> None:
    wrong = b"x" * len(BODY)
    server.files["/a.bin"] = wrong
    file = remote(server, tmp_path)
    with pytest.raises(HierevalError) as caught:
        fetch([file], "Data")
    assert str(caught.value).split("\n")[1:] == [
        f"  a.bin: wrong content at {server.url}/a.bin: "
        f"expected {sha256(BODY)}, got {sha256(wrong)}"
    ]
    assert [p.name for p in tmp_path.iterdir()] == [".download.lock"]
    assert len(server.requests) == 1  # the whole file was wrong: asking again would not help


def test_a_part_of_another_file_is_thrown_away(server: Loopback, tmp_path: Path) -> None:
    (tmp_path / "a.bin.part").write_bytes(b"x" * 100)
    file = remote(server, tmp_path)
    fetch([file], "Data")
    assert file.path.read_bytes() == BODY
    assert server.requests == [("/a.bin", "bytes=100-"), ("/a.bin", None)]


def test_other_bytes_than_those_asked_for_are_thrown_away(server: Loopback, tmp_path: Path) -> None:
    server.start_over = True
    server.cut["/a.bin"] = [1_000]
    file = Remote(f"{server.url}/a.bin", tmp_path / "a.bin", None, len(BODY))
    fetch([file], "Data")
    assert file.path.read_bytes() == BODY
    assert server.requests == [("/a.bin", None), ("/a.bin", "bytes=1000-"), ("/a.bin", None)]


def test_a_file_without_a_digest_is_begun_anew_and_has_its_size(
    server: Loopback, tmp_path: Path
) -> None:
    (tmp_path / "a.bin.part").write_bytes(b"x" * 100)  # perhaps of what stood there before
    file = Remote(f"{server.url}/a.bin", tmp_path / "a.bin", None, len(BODY))
    fetch([file], "Data")
    assert file.path.read_bytes() == BODY
    with pytest.raises(HierevalError) as caught:
        fetch([Remote(file.url, tmp_path / "b.bin", None, len(BODY) - 1)], "Data")
    assert str(caught.value).split("\n")[1:] == [
        f"  b.bin: wrong content at {file.url}: expected 299,999 bytes, got 300,000"
    ]
    assert sorted(p.name for p in tmp_path.iterdir()) == [".download.lock", "a.bin"]


@pytest.mark.parametrize("size", [len(BODY), None])
def test_a_part_that_is_too_long_is_thrown_away(
    server: Loopback, tmp_path: Path, size: int | None
) -> None:
    (tmp_path / "a.bin.part").write_bytes(BODY + b"more")
    file = Remote(f"{server.url}/a.bin", tmp_path / "a.bin", sha256(BODY), size)
    fetch([file], "Data")
    assert file.path.read_bytes() == BODY


def test_a_part_that_is_whole_needs_no_server(tmp_path: Path) -> None:
    (tmp_path / "a.bin.part").write_bytes(BODY)
    fetch([Remote("http://127.0.0.1:1/", tmp_path / "a.bin", sha256(BODY), len(BODY))], "Data")
    assert (tmp_path / "a.bin").read_bytes() == BODY


def test_a_missing_file_is_named_and_the_others_are_kept(server: Loopback, tmp_path: Path) -> None:
    files = [remote(server, tmp_path, name) for name in ("none.bin", "a.bin", "gone.bin")]
    with pytest.raises(HierevalError) as caught:
        fetch(files, "Data", workers=1)
    assert str(caught.value) == (
        "Data is not complete: 2 of 3 files missing. What was fetched is kept, and the same "
        "command goes on from there.\n"
        f"  none.bin: 404 Not Found at {server.url}/none.bin\n"
        f"  gone.bin: 404 Not Found at {server.url}/gone.bin"
    )
    assert (tmp_path / "a.bin").read_bytes() == BODY


def test_after_ten_problems_no_other_file_is_begun(server: Loopback, tmp_path: Path) -> None:
    files = [remote(server, tmp_path, f"{n}.bin") for n in range(500)]
    with pytest.raises(HierevalError, match="500 of 500 files missing"):
        fetch(files, "Data")
    assert 10 <= len(server.requests) <= 18


def test_a_busy_server_is_asked_again(server: Loopback, tmp_path: Path) -> None:
    server.status["/a.bin"] = [503, 429, 500]
    file = remote(server, tmp_path)
    fetch([file], "Data")
    assert file.path.read_bytes() == BODY
    server.files["/b.bin"], server.status["/b.bin"] = BODY, [503] * 4
    with pytest.raises(HierevalError, match=r"b\.bin: 503 Service Unavailable at http://127"):
        fetch([remote(server, tmp_path, "b.bin")], "Data")


def test_no_server_is_one_line_however_many_files(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    files = [Remote(f"{url}/{n}", tmp_path / str(n), sha256(b""), 1) for n in range(50)]
    with pytest.raises(HierevalError) as caught:
        fetch(files, "Data")
    assert str(caught.value) == (
        "Data is not complete: 50 of 50 files missing. What was fetched is kept, and the same "
        "command goes on from there.\n"
        f"  127.0.0.1:{port} cannot be reached: Connection refused"
    )


def test_a_file_that_is_there_and_differs_is_left_alone(server: Loopback, tmp_path: Path) -> None:
    file = remote(server, tmp_path)
    file.path.write_bytes(b"mine")
    with pytest.raises(HierevalError) as caught:
        fetch([file], "Data")
    assert str(caught.value).split("\n")[1] == (
        f"  {file.path} differs from the published file (expected {sha256(BODY)}, got "
        f"{sha256(b'mine')}): delete it and run the command again"
    )
    assert file.path.read_bytes() == b"mine"
    assert server.requests == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_folder_that_cannot_be_written(server: Loopback, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(HierevalError, match="must be writable: Permission denied"):
        fetch([remote(server, tmp_path / "data")], "Data")


def test_a_data_folder_that_is_a_file(server: Loopback, tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(b"")
    with pytest.raises(HierevalError) as caught:
        fetch([remote(server, tmp_path / "data")], "Data")
    assert str(caught.value) == (
        f"The data folder {str(tmp_path / 'data')!r} must be writable: File exists. "
        "Name another one with --data-dir or HIEREVAL_DATA."
    )


def test_a_full_disk_keeps_the_part(server: Loopback, tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(HierevalError, match=r"must be writable: File too large\."):
            fetch([remote(server, tmp_path)], "Data")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not (tmp_path / "a.bin").exists()
    fetch([remote(server, tmp_path)], "Data")
    assert (tmp_path / "a.bin").read_bytes() == BODY


def test_many_files_come_in_parallel(tmp_path: Path) -> None:
    bodies = {f"/{n}": random.Random(n).randbytes(1_000 + n) for n in range(200)}
    with Loopback(bodies) as server:
        server.cut = {f"/{n}": [n] for n in range(0, 200, 7)}
        files = [remote(server, tmp_path, path[1:], body) for path, body in bodies.items()]
        assert fetch(files, "Data") == 200
    assert {f"/{f.path.name}": f.path.read_bytes() for f in files} == bodies


def test_git_blob_digest(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"hello\n")  # git hash-object
    assert digest(tmp_path / "x", "git-blob:") == (
        "git-blob:ce013625030ba8dba906f756967f9e9ca394464a"
    )


def test_the_command_names_what_it_could_not_fetch(tmp_path: Path) -> None:
    with Loopback({}) as server:
        result = CliRunner().invoke(
            command, ["hierarcaps", "--data-dir", str(tmp_path), "--base-url", server.url]
        )
    assert isinstance(result.exception, HierevalError)
    lines = str(result.exception).split("\n")
    assert lines[0].startswith("HierarCaps is not complete: 1,003 of 1,003 files missing.")
    assert f"  hierarcaps_test.csv: 404 Not Found at {server.url}/data/hierarcaps_test.csv" in lines


def test_a_dataset_of_another_kind_is_opened(tmp_path: Path) -> None:
    result = CliRunner().invoke(command, ["shapes"])
    assert (result.exit_code, result.output) == (0, "shapes is complete.\n")
    result = CliRunner().invoke(command, ["hyperlex", "--data-dir", str(tmp_path)])
    assert isinstance(result.exception, HierevalError)
    assert str(result.exception).startswith("HyperLex must stand at ")


@pytest.mark.parametrize(("given", "name"), [("hierarcap", "hierarcaps"), ("siglib", "siglip")])
def test_a_misspelt_name_gets_the_nearest(given: str, name: str) -> None:
    result = CliRunner().invoke(command, [given])
    assert isinstance(result.exception, HierevalError)
    assert str(result.exception) == (
        f"What to download, {given!r}, must be a dataset ('hiereval ls datasets'), a model "
        f"('hiereval ls models') or adapter:checkpoint. Did you mean {name!r}?"
    )


@pytest.mark.data
def test_the_command_fetches_hierarcaps(hierarcaps_root: Path, tmp_path: Path) -> None:
    source = hierarcaps_root / "hierarcaps"
    served = {f"/data/{p.name}": p.read_bytes() for p in source.glob("hierarcaps_test*")}
    served |= {f"/assets/test_imgs/{p.name}": p.read_bytes() for p in source.glob("test_imgs/*")}
    with Loopback(served) as server:
        arguments = ["hierarcaps", "--data-dir", str(tmp_path), "--base-url", server.url]
        result = CliRunner().invoke(command, arguments)
        assert isinstance(result.exception, HierevalError)  # the training file is not served
        assert str(result.exception).startswith("HierarCaps is not complete: 1 of 1,003 files")
    fetched = tmp_path / "hierarcaps"
    assert len(list((fetched / "test_imgs").glob("*.jpg"))) == 1_000
    for name in ("hierarcaps_test.csv", "hierarcaps_test_expanded.csv.gz"):
        assert (fetched / name).read_bytes() == (source / name).read_bytes()
