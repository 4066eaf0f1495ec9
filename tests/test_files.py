from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from hiereval import files
from hiereval.errors import HierevalError


def test_a_file_is_replaced_and_nothing_stays_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "new" / "f"
    files.write_whole(path, b"old")
    files.write_whole(path, iter([b"ne", b"w"]))
    assert path.read_bytes() == b"new"
    assert os.listdir(path.parent) == ["f"]


def test_a_failure_leaves_the_old_file(tmp_path: Path) -> None:
    def broken() -> object:
        yield b"half"
        raise OSError(28, "No space left on device")

    files.write_whole(tmp_path / "f", b"old")
    with pytest.raises(OSError, match="No space"):
        files.write_whole(tmp_path / "f", broken())  # type: ignore[arg-type]
    assert (tmp_path / "f").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["f"]


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    def half(folder: Path) -> None:
        (folder / "a").write_text("a")
        raise ValueError("stopped")

    def both(folder: Path) -> None:
        (folder / "a").write_text("a")
        (folder / "b").mkdir()
        (folder / "b" / "c").write_text("c")

    with pytest.raises(ValueError, match="stopped"):
        files.write_folder(tmp_path / "d", half)
    assert os.listdir(tmp_path) == []
    files.write_folder(tmp_path / "d", both)
    assert (tmp_path / "d" / "b" / "c").read_text() == "c"
    with pytest.raises(HierevalError) as caught:
        files.write_folder(tmp_path / "d", both)
    assert str(caught.value) == f"The output folder '{tmp_path}/d' must be new or empty."


def test_links_are_followed_and_permissions_kept(tmp_path: Path) -> None:
    for name in ("file", "folder", "other"):
        (tmp_path / name).symlink_to(Path("there") / name)
    files.write_whole(tmp_path / "file", b"old")
    (tmp_path / "there" / "file").chmod(0o640)
    files.write_whole(tmp_path / "file", b"new")
    files.write_folder(tmp_path / "folder", lambda folder: (folder / "a").touch())
    (tmp_path / "there" / "other").mkdir()
    with files.unfinished(tmp_path / "other") as work:
        (work / "a").touch()
    for name in ("file", "folder", "other"):
        assert (tmp_path / name).is_symlink()
    assert (tmp_path / "there" / "file").read_bytes() == b"new"
    assert (tmp_path / "there" / "file").stat().st_mode & 0o777 == 0o640
    assert sorted(p.name for p in (tmp_path / "there").rglob("*")) == [
        *("a", "a", "file", "folder", "other"),
    ]


def test_what_is_no_file_is_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="it is no regular file"):
        files.write_whole(tmp_path / "pipe", b"")
    assert (tmp_path / "pipe").is_fifo()


def test_the_working_folder_and_mounted_disks_are_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "disk").mkdir()
    monkeypatch.setattr(Path, "is_mount", lambda path: path.name == "disk")
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    for name in (".", "../disk"):
        with pytest.raises(HierevalError) as caught:
            files.check_vacant(Path(name))
        assert str(caught.value) == (
            f"The output folder {name!r} must be neither the working folder nor where a disk is "
            "mounted; name one below it."
        )
    files.check_vacant(Path("../disk/new"))


def test_leftovers_of_killed_writers_are_cleared_and_those_of_living_ones_kept(
    tmp_path: Path,
) -> None:
    def killed() -> object:
        yield b"half"
        os.kill(os.getpid(), signal.SIGKILL)

    if (child := os.fork()) == 0:
        files.write_whole(tmp_path / "f", killed())  # type: ignore[arg-type]
    os.waitpid(child, 0)
    if (child := os.fork()) == 0:
        files.write_folder(tmp_path / "d", lambda folder: os.kill(os.getpid(), signal.SIGKILL))
    os.waitpid(child, 0)
    assert len(os.listdir(tmp_path)) == 2

    def alive() -> object:
        yield b"half"
        files.clear_leftovers(tmp_path)
        assert len(os.listdir(tmp_path)) == 1
        yield b" whole"

    files.write_whole(tmp_path / "g", alive())  # type: ignore[arg-type]
    assert os.listdir(tmp_path) == ["g"]
    assert (tmp_path / "g").read_text() == "half whole"


def test_what_is_put_aside_never_replaces_what_was(tmp_path: Path) -> None:
    names = []
    for content in "abc":
        (tmp_path / "f").write_text(content)
        names.append(files.put_aside(tmp_path / "f").name)
    assert names == ["f.damaged", "f.2.damaged", "f.3.damaged"]
    assert [(tmp_path / name).read_text() for name in names] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("openai/clip: v1", "openai-clip--v1"),
        ("../../etc", "etc"),
        ("", "unnamed"),
        ("a\0b\nc", "a-b-c"),
        ("\ud800", "unnamed"),
    ],
)
def test_names_are_safe(text: str, name: str) -> None:
    assert files.safe_name(text) == name


def test_long_names_fit_the_file_system_and_stay_two(tmp_path: Path) -> None:
    one, other = (files.safe_name("é" * 300 + end) for end in "ab")
    assert one != other
    assert max(len(one.encode()), len(other.encode())) <= 100
    files.write_whole(tmp_path / ("n" * 250), b"")
