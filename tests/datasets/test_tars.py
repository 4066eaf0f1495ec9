"""Images in tars: found by path and by name, walked once, remembered safely; bad tars in a line."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import random
import runpy
import tarfile
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from hiereval import hashes
from hiereval.cli import hiereval
from hiereval.datasets import chains, image_files, ranked_names, tars
from hiereval.datasets.image_files import TarImage
from hiereval.datasets.image_parts import parts, tar_images
from hiereval.errors import HierevalError
from hiereval.places import Places
from hiereval.types import DataOptions


def png(shade: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8), (shade, 0, 0)).save(file, "PNG")
    return file.getvalue()


def made(path: Path, members: list[tuple[str, bytes | str]]) -> Path:
    """Write a tar of files, and of links where the content is a name."""
    with tarfile.open(path, "w") as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            if isinstance(content, str):
                info.type, info.linkname = tarfile.LNKTYPE, content
                tar.addfile(info)
            else:
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    os.utime(path, (0, 0))
    return path


@pytest.fixture(autouse=True)
def _forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remember across runs alone, and what has just been written too."""
    monkeypatch.setattr(hashes, "RECENT", -1e9)
    tars._images.cache_clear()


LONG = "a" * 150 + "/é.PNG"  # a name that takes a header of its own


def test_members_are_read_where_they_stand(tmp_path: Path) -> None:
    tar = made(
        tmp_path / "a.tar",
        [("./1.png", png(1)), ("1.txt", b"a caption"), (LONG, png(2)), ("deep/3.png", png(3))],
    )
    found = tars.images(tar)
    assert list(found) == ["1.png", LONG, "deep/3.png"]
    for shade, image in enumerate(found.values(), 1):
        assert image.read() == png(shade)
        assert image_files.sha256_of(image) == hashlib.sha256(png(shade)).hexdigest()
        assert image_files.decode(image).getpixel((0, 0)) == (shade, 0, 0)


def rows(folder: Path, *images: str) -> Path:
    lines = [f"a => b{i} => c{i},{image}\n" for i, image in enumerate(images)]
    (folder / "own.csv").write_text("captions,image\n" + "".join(lines))
    return folder / "own.csv"


def test_a_dataset_is_the_same_packed_or_not(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    made(tmp_path / "images" / "s-0.tar", [("0.png", png(0)), ("x/1.png", png(1))])
    made(tmp_path / "images" / "s-1.tar", [("2.png", png(2))])
    packed = chains.read(rows(tmp_path, "s-0.tar/0.png", "s-0.tar/x/1.png", "s-1.tar/2.png"))
    (tmp_path / "x").mkdir()
    for i, name in enumerate(("0.png", "x/1.png", "2.png")):
        (tmp_path / name).write_bytes(png(i))
    unpacked = chains.read(rows(tmp_path, "0.png", "x/1.png", "2.png"))
    assert [image.name for image in packed.images] == ["0.png", "x/1.png", "2.png"]
    assert isinstance(packed.images[0], TarImage)
    assert (packed.sha256, packed.images_sha256) == (unpacked.sha256, unpacked.images_sha256)

    table = tmp_path / "taxonomy.csv"
    table.write_text("rank1,rank2,image\na,b,images/s-1.tar/2.png\n")
    assert ranked_names.read(table).images[0].read() == png(2)
    table.write_text("rank1,rank2,image\na,b,images/s-1.tar/3.png\n")
    with pytest.raises(HierevalError) as caught:
        ranked_names.read(table)
    assert str(caught.value).strip() == (
        f"{table}:2: the image 'images/s-1.tar/3.png' must be a file beside the table."
    )


def test_what_is_not_in_a_tar_is_named_and_so_are_two_of_one_name(tmp_path: Path) -> None:
    made(tmp_path / "a.tar", [("0.png", png(0)), ("1.png", png(1))])
    made(tmp_path / "b.tar", [("0.png", png(0)), ("1.png", png(2))])
    for missing in ("a.tar/2.png", "a.tar/../a.tar/0.png", "c.tar/0.png"):
        own = rows(tmp_path, "a.tar/0.png", missing)
        with pytest.raises(HierevalError) as caught:
            chains.read(own)
        assert str(caught.value) == (
            f"The data file '{own}' has 1 problem:\n"
            f"  row 2 (line 3): the image {missing!r} is not in '{tmp_path}'"
        )
    chains.read(rows(tmp_path, "a.tar/0.png", "b.tar/0.png"))  # one picture
    with pytest.raises(HierevalError) as caught:
        chains.read(rows(tmp_path, "a.tar/1.png", "b.tar/1.png"))
    assert str(caught.value) == (
        "The images named '1.png' must be one picture; they are two. Names, within a tar too, "
        "must differ."
    )
    with pytest.raises(HierevalError) as caught:
        tar_images(str(tmp_path / "*.tar"))
    assert str(caught.value) == (
        f"The image '0.png' must stand in one tar; it is in '{tmp_path}/a.tar' and in "
        f"'{tmp_path}/b.tar'."
    )


def test_where_members_stand_is_remembered_until_the_tar_is_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tar, memory = made(tmp_path / "a.tar", [("0.png", png(0))]), tmp_path / "memory"
    first = tars.images(tar, memory)
    tars._images.cache_clear()
    with monkeypatch.context() as patch:
        patch.setattr(tars, "members", None)  # not walked again
        assert tars.images(tar, memory) == first
    noted = next((memory / "tars").iterdir())
    tars._images.cache_clear()
    noted.write_text(noted.read_text().replace("0.png", "1.png"))  # what is damaged is not there
    assert tars.images(tar, memory) == first

    made(tar, [("0.png", png(9))])  # of one size, one name and one time
    with pytest.raises(HierevalError) as caught:
        first["0.png"].read()
    assert str(caught.value) == (
        f"The tar '{tar}' must stay as it is while it is read; it changed. Start again."
    )
    assert tars.images(tar, memory)["0.png"].read() == png(9)


def test_a_tar_that_has_just_changed_is_not_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hashes, "RECENT", 1e9)
    tars.images(made(tmp_path / "a.tar", [("0.png", png(0))]), tmp_path / "memory")
    assert not (tmp_path / "memory").exists()


BAD = {
    "twice": ([("0.png", png(0)), ("./0.png", png(1))], ": ./0.png' must stand there once."),
    "a link": (
        [("0.png", png(0)), ("1.png", "0.png")],
        ": 1.png' must be a plain file in the tar; it is a link to '0.png'.",
    ),
    "out": ([("a/../../0.png", png(0))], ": a/../../0.png' must have a name that stays within the "
            "tar."),
    "absolute": ([("/0.png", png(0))], ": /0.png' must have a name that stays within the tar."),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD)
def test_bad_members_are_a_line(kind: str, tmp_path: Path) -> None:
    members, message = BAD[kind]
    tar = made(tmp_path / "a.tar", members)  # type: ignore[arg-type]
    with pytest.raises(HierevalError) as caught:
        chains.read(rows(tmp_path, "a.tar/0.png"))
    assert str(caught.value) == f"The image '{tar}{message}"


def test_tars_that_are_not_whole_are_a_line(tmp_path: Path) -> None:
    whole = made(tmp_path / "a.tar", [("0.png", png(0)), ("1.png", png(1))]).read_bytes()
    tar = tmp_path / "a.tar"
    for content, message in (
        (whole[: 512 + 20], "must be a whole, uncompressed tar: unexpected end of data."),
        (
            whole[:1024],
            "must end in zeros; it is damaged, cut short or joined to another at byte 1,024.",
        ),
        (
            whole + whole,
            "must end in zeros; it is damaged, cut short or joined to another at byte 10,240.",
        ),
        (b"no tar", "must be a whole, uncompressed tar: truncated header."),
        (gzip.compress(whole, 0), "must be a whole, uncompressed tar: bad checksum."),
    ):
        tar.write_bytes(content)
        with pytest.raises(HierevalError) as caught:
            chains.read(rows(tmp_path, "a.tar/0.png"))
        assert str(caught.value) == f"The tar '{tar}' {message}"


def headers(facts: bytes) -> bytes:
    """Return headers of a kind that tarfile reads with more faith than it has reason for."""
    info = tarfile.TarInfo("PaxHeader")
    info.type, info.size = tarfile.XHDTYPE, len(facts)
    return info.tobuf() + facts + bytes(-len(facts) % 512)


def long_names(n: int) -> bytes:
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 8
    return (info.tobuf(tarfile.GNU_FORMAT) + b"a.png".ljust(512, b"\0")) * n


ODD_HEADERS = {
    "numbers": (
        headers(b"22 GNU.sparse.map=a,b\n"),
        "invalid literal for int() with base 10: 'a'",
    ),
    "no text": (
        headers(b"16 hdrcharset=\xff\n"),
        "'utf-8' codec can't decode byte 0xff in position 0: invalid start byte",
    ),
    "thousands of names of one": (long_names(3000), "maximum recursion depth exceeded"),
}


@pytest.mark.parametrize("kind", ODD_HEADERS)
def test_headers_that_tarfile_fails_on_are_a_line(kind: str, tmp_path: Path) -> None:
    odd, message = ODD_HEADERS[kind]
    tar = made(tmp_path / "a.tar", [("0.png", png(0))])
    tar.write_bytes(odd + tar.read_bytes())
    with pytest.raises(HierevalError) as caught:
        tars.images(tar)
    start = f"The tar '{tar}' must be a whole, uncompressed tar: "
    assert str(caught.value).startswith(f"{start}{message}")


def test_names_are_paths_in_utf_8(tmp_path: Path) -> None:
    tar = made(tmp_path / "a.tar", [(".//x//0.png", png(0)), ("x/./1.png", png(1))])
    assert list(tars.images(tar)) == ["x/0.png", "x/1.png"]
    made(tar, [("\udcff.png", png(0))])
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "\udcff.png").write_bytes(png(0))  # bytes that are no text
    for spec, place in ((tar, f"{tar}: \\udcff.png"), (folder, f"{folder}/\\udcff.png")):
        with pytest.raises(HierevalError) as caught:
            [list(part.images()) for part in parts(str(spec))]
        assert str(caught.value) == f"The image '{place}' must have a name in UTF-8."


def test_links_that_lead_nowhere_are_named(tmp_path: Path) -> None:
    (tmp_path / "1.png").symlink_to("lost.png")
    (part,) = parts(str(tmp_path))
    with pytest.raises(HierevalError) as caught:
        part.state()
    assert str(caught.value) == (
        f"The file '{tmp_path}/1.png' must exist: No such file or directory."
    )


def test_a_skeleton_of_a_dataset_reads_them(tmp_path: Path) -> None:
    for i in range(2):
        made(tmp_path / f"s-{i}.tar", [(f"{i}{j}.png", png(j)) for j in range(2)])
    spec, out = str(tmp_path / "s-{0..1}.tar"), tmp_path / "new"
    arguments = ["new-dataset", "my-photos", "--out", str(out), "--images"]
    run = CliRunner().invoke(hiereval, [*arguments, str(tmp_path / "s-0.tar")])
    assert str(run.exception) == (
        f"The tars '{tmp_path}/s-0.tar' must hold 3 images or more, one for each chain of the "
        "skeleton; they hold 2."
    )
    assert not out.exists()
    assert CliRunner().invoke(hiereval, [*arguments, spec]).exit_code == 0
    module = runpy.run_path(str(out / "hiereval_my_photos.py"))
    data = module["my_photos"](DataOptions(places=Places.of(tmp_path / "cache")))
    assert [image.name for image in data.images] == ["00.png", "01.png", "10.png"]
    assert data.images[2].read() == png(0)


def test_headers_are_looked_at_before_any_is_encoded(tmp_path: Path) -> None:
    made(tmp_path / "a.tar", [("0.png", png(0)), ("1.png", b"none"), ("2.png", b"")])
    data = chains.read(rows(tmp_path, *(f"a.tar/{i}.png" for i in range(3))))
    with pytest.raises(HierevalError) as caught:
        image_files.verify(data.images)
    assert str(caught.value) == (
        "2 images cannot be used:\n"
        "  The image '1.png' is empty or not an image (BMP, GIF, JPEG, PNG, PPM, TIFF, WEBP).\n"
        "  The image '2.png' is empty or not an image (BMP, GIF, JPEG, PNG, PPM, TIFF, WEBP)."
    )


def test_of_large_images_the_header_alone_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise = Image.frombytes("RGB", (300, 300), random.Random(0).randbytes(270_000))
    content = {}
    for kind in ("JPEG", "PNG", "TIFF", "BMP", "GIF", "PPM"):
        noise.save(file := io.BytesIO(), kind)
        content[f"{kind}.png"] = file.getvalue()
    images = tars.images(made(tmp_path / "a.tar", list(content.items())))
    read, preadv = [], os.preadv

    def counted(number: int, into: list[memoryview], at: int) -> int:
        read.append(preadv(number, into, at))
        return read[-1]

    with monkeypatch.context() as patch:
        patch.setattr(os, "preadv", counted)
        image_files.verify(images.values())
    assert 0 < sum(read) < sum(map(len, content.values())) / 10
    for name, image in images.items():
        assert image.read() == content[name]
        assert image_files.decode(image).size == (300, 300)
