"""Collections as shards: the model's vectors, kills, full disks, damage, shares, repetitions."""

from __future__ import annotations

import errno
import hashlib
import importlib.util
import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from support.fakes import HashAdapter

from hiereval import streaming, vector_shards
from hiereval.adapters.precomputed import Precomputed
from hiereval.batch_sizes import Batch
from hiereval.cli import hiereval
from hiereval.datasets import image_files, image_parts
from hiereval.errors import HierevalError
from hiereval.precomputing import Job, read_texts
from hiereval.types import LoadOptions

TOY = "toy"


def _jpeg(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (8, 8, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).resize((48, 48)).save(file, "JPEG")
    return file.getvalue()


def _tar(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


@pytest.fixture
def tars(tmp_path: Path) -> str:
    """Three tars of two images and two texts each; the last image has the first's content."""
    for t in range(3):
        members = {}
        for i in range(2):
            members[f"{t}{i}.jpg"] = _jpeg(2 * t + i if t + i < 3 else 4)
            members[f"{t}{i}.txt"] = b"a caption"
        _tar(tmp_path / f"s-{t}.tar", members)
    return str(tmp_path / "s-{0..2}.tar")


def _job(images: str, out: Path, **rest: object) -> Job:
    return Job.of(TOY, images, out, device="cpu", **rest)  # type: ignore[arg-type]


def _read(out: Path) -> Precomputed:
    return Precomputed(str(out), LoadOptions())


def test_vectors_are_those_of_the_model(tars: str, tmp_path: Path) -> None:
    job = _job(tars, tmp_path / "v", texts=["bird", "a dog", "bird", ""])
    done = job.encode(range(3))
    assert (done.shards, done.images, done.texts, done.skipped) == (5, 6, 3, 6)
    assert (done.repeated, done.indexed, done.there) == (1, True, 0)
    found = _read(tmp_path / "v")
    assert (found.id.name, found.id.root_text, found.id.dtype) == ("toy", "", "float32")
    assert list(found.texts) == ["", "bird", "a dog"]
    assert list(found.images) == ["00.jpg", "01.jpg", "10.jpg", "11.jpg", "20.jpg", "21.jpg"]
    assert ("11.jpg" in found.images, "11.txt" in found.images, 3 in found.images) == (
        True, False, False,
    )  # fmt: skip
    adapter = job.adapter
    expected = adapter.encode_texts(["a dog"])  # alone, so summed in another order
    assert (found.encode_texts(["a dog"]) - expected).abs().max() <= 2e-6
    for name, seed in (("20.jpg", 4), ("01.jpg", 1)):
        image = image_files.decode(image_parts.HeldImage(name, name, _jpeg(seed)))
        expected = adapter.encode_images([adapter.preprocess(image)])
        assert (found.encode_image_names([name]) - expected).abs().max() <= 2e-6


def test_the_content_of_each_image_is_noted(tars: str, tmp_path: Path) -> None:
    _job(tars, tmp_path / "v").encode(range(3))
    from safetensors.numpy import load_file

    shard = load_file(tmp_path / "v" / "image-s-0.safetensors")
    assert shard["content"].tobytes() == b"".join(
        hashlib.sha256(_jpeg(i)).digest() for i in range(2)
    )
    assert shard["keys"].tobytes() == b"".join(
        hashlib.sha256(f"0{i}.jpg".encode()).digest() for i in range(2)
    )


def test_only_what_lacks_is_encoded_again(tars: str, tmp_path: Path) -> None:
    out = tmp_path / "v"
    first = _job(tars, out).encode([0, 2])
    assert (first.images, first.indexed, (out / "index.json").exists()) == (4, False, False)
    again = _job(tars, out).encode(range(3))
    assert (again.images, again.there, again.indexed) == (2, 3, True)
    index = (out / "index.json").read_bytes()
    (out / "image-s-1.safetensors").write_bytes(b"cut")
    mended = _job(tars, out).encode(range(3))
    assert (mended.images, mended.there) == (2, 3)
    assert (out / "index.json").read_bytes() == index  # the same bytes, whoever writes them
    _tar(tmp_path / "s-1.tar", {"10.jpg": _jpeg(99)})
    assert _job(tars, out).encode(range(3)).images == 1  # another tar by that name


def test_a_folder_and_shares_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_parts, "PART_FILES", 2)
    folder = tmp_path / "pictures"
    (folder / "deep").mkdir(parents=True)
    for i, name in enumerate(("a.jpg", "b.JPG", "deep/c.png", "d.jpeg", "notes.txt", "._a.jpg")):
        (folder / name).write_bytes(_jpeg(i))
    arguments = ["encode", "--model", TOY, "--images", str(folder), "--out", str(tmp_path / "v")]
    run = CliRunner().invoke(hiereval, [*arguments, "--share", "1/2"])
    assert run.output == (
        f"{tmp_path / 'v'}: 2 shards written, 0 were there; 2 images, 1 texts encoded\n"
        "The index is written when the other shares are there.\n"
    )
    run = CliRunner().invoke(hiereval, [*arguments, "--share", "2/2"])
    assert run.output == (
        f"{tmp_path / 'v'}: 1 shards written, 0 were there; 2 images, 0 texts encoded\n"
        f"Next: hiereval run --model precomputed:{tmp_path / 'v'} --dataset DATASET\n"
    )
    assert list(_read(tmp_path / "v").images) == ["a.jpg", "b.JPG", "d.jpeg", "deep/c.png"]


def test_a_full_disk_leaves_whole_shards(
    tars: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, fsync, calls = tmp_path / "v", os.fsync, []

    def full(number: int) -> None:
        calls.append(number)
        if len(calls) > 3:  # the root, its folder, the first images
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(number)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        _job(tars, out).encode(range(3))
    monkeypatch.undo()
    assert sorted(path.name for path in out.iterdir()) == [
        "image-s-0.safetensors", "text-root.safetensors",
    ]  # fmt: skip
    assert _job(tars, out).encode(range(3)).there == 2


def test_an_output_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "texts.jsonl").write_text('"a circle"\n')
    arguments = ["encode", "--model", TOY, "--texts", str(tmp_path / "texts.jsonl"), "--out"]
    run = CliRunner().invoke(hiereval, [*arguments, str(tmp_path / "file" / "v")])
    assert str(run.exception) == (
        f"The output folder '{tmp_path}/file/v' cannot be written: Not a directory."
    )


def _whole(images: str, out: Path) -> None:
    job = _job(images, out)
    job.encode(range(len(job.images)))


def _refused(images: str, tmp_path: Path) -> str:
    with pytest.raises(HierevalError) as caught:
        _whole(images, tmp_path / "refused")
    return str(caught.value)


def test_bad_tars_are_named(tmp_path: Path) -> None:
    whole = _tar(tmp_path / "a.tar", {"x.jpg": _jpeg(0), "y.jpg": _jpeg(1)})
    size = len(_jpeg(0))
    cut = tmp_path / "cut.tar"
    cut.write_bytes(whole.read_bytes()[: 512 + size // 2])
    assert _refused(str(cut), tmp_path) == (
        f"The tar '{cut}' must be a whole, uncompressed tar: unexpected end of data."
    )
    padded = -(-size // 512) * 512
    cut.write_bytes(whole.read_bytes()[: 512 + padded])  # tarfile says nothing of this
    assert _refused(str(cut), tmp_path) == (
        f"The tar '{cut}' must end in zeros; it is damaged, cut short or joined to another at byte "
        f"{512 + padded:,}."
    )
    bad = _tar(tmp_path / "bad.tar", {"x.jpg": _jpeg(0), "../y.jpg": _jpeg(1)})
    assert _refused(str(bad), tmp_path) == (
        f"The image '{bad}: ../y.jpg' must have a name that stays within the tar."
    )
    bad = _tar(tmp_path / "bad.tar", {"x.jpg": _jpeg(0), "y.jpg": b"no image"})
    assert _refused(str(bad), tmp_path) == (
        f"The image '{bad}: y.jpg' is empty or not an image (BMP, GIF, JPEG, PNG, PPM, TIFF, WEBP)."
    )
    _tar(tmp_path / "b.tar", {"x.jpg": _jpeg(5)})
    assert _refused(str(tmp_path / "[ab].tar"), tmp_path) == (
        "The names of all shards must be unique; 'x.jpg' stands in "
        f"'{tmp_path}/refused/image-a.safetensors' and '{tmp_path}/refused/image-b.safetensors'."
    )
    assert _refused(str(tmp_path / "c-{0..1}.tar"), tmp_path) == (
        f"The tar '{tmp_path}/c-0.tar' must exist."
    )


def test_broken_images_are_left_out_when_asked(tmp_path: Path) -> None:
    bad = _tar(tmp_path / "bad.tar", {"x.jpg": _jpeg(0), "y.jpg": b"no image", "z.jpg": _jpeg(2)})
    out = tmp_path / "v"
    run = CliRunner().invoke(
        hiereval,
        ["encode", "--model", TOY, "--images", str(bad), "--out", str(out), "--skip-broken"],
    )
    said = f"1 images left out, the first: The image '{bad}: y.jpg' is empty or not an image"
    assert said in run.output
    assert list(_read(out).images) == ["x.jpg", "z.jpg"]


def test_folders_that_disagree_are_refused(tars: str, tmp_path: Path) -> None:
    out = tmp_path / "v"
    _job(tars, out).encode(range(3))
    index = json.loads((out / "index.json").read_text())
    shard = out / "image-s-1.safetensors"
    content = shard.read_bytes()

    def refused() -> str:
        with pytest.raises(HierevalError) as caught:
            _read(out).encode_image_names(["10.jpg"])
        return str(caught.value)

    shard.unlink()
    assert refused() == (
        f"The shard '{shard}' must be there, as the index says: No such file or directory."
    )
    shard.write_bytes(content[:-1])
    assert refused() == f"The shard '{shard}' must be safetensors, and whole."
    vectors = np.full((2, 16), np.nan, np.float32)
    vector_shards.write(shard, ["10.jpg", "11.jpg"], vectors, {})
    assert refused() == (
        f"The shards of '{out / 'index.json'}' must share one dimension and one type; they have "
        "16 of float32, 64 of float32."
    )
    vectors = np.full((2, 64), np.nan, np.float32)
    vector_shards.write(shard, ["10.jpg", "11.jpg"], vectors, {})
    assert refused() == (
        f"The shard '{shard}' must be as it was when the index was written; its SHA-256 is "
        "another. Write it again, and the index."
    )
    shard.write_bytes(content)
    index["shards"]["image"][1]["rows"] = 3
    (out / "index.json").write_text(json.dumps(index))
    assert refused() == (f"The shard '{shard}' must have 3 rows, as the index says; it has 2.")
    index["shards"]["image"][1] = {"file": "../x", "rows": 2, "sha256": ""}
    (out / "index.json").write_text(json.dumps(index))
    assert refused().startswith(f"The shards of '{out / 'index.json'}' must be listed by file")


def test_vectors_that_are_not_finite(tmp_path: Path) -> None:
    shard = tmp_path / "x.safetensors"
    vector_shards.write(shard, ["a", "b"], np.array([[1.0], [np.inf]], np.float32), {})
    sha256 = hashlib.sha256(shard.read_bytes()).hexdigest()
    named = vector_shards.Named([vector_shards.open_shard(shard, 2, sha256)], None)
    assert named.vectors([0]).tolist() == [[1.0]]
    with pytest.raises(HierevalError) as caught:
        named.vectors([1])
    assert str(caught.value) == f"The vectors in '{shard}' must be finite."


def test_texts_of_another_kind(tmp_path: Path) -> None:
    file = tmp_path / "t.jsonl"
    file.write_text('"bird"\n3\n')
    with pytest.raises(HierevalError) as caught:
        read_texts(file)
    assert str(caught.value) == f"Line 2 of '{file}' must be a JSON string, a caption."


EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.mark.parametrize(
    ("module", "script", "rest"),
    [
        ("ray", "encode_with_ray.py", []),
        ("datatrove", "encode_with_datatrove.py", ["2"]),
    ],
)
def test_examples(module: str, script: str, rest: list[str], tars: str, tmp_path: Path) -> None:
    assert len((EXAMPLES / script).read_text().splitlines()) <= 40
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} is not installed")
    out = tmp_path / "by-others"
    command = [sys.executable, str(EXAMPLES / script), TOY, tars, str(out), *rest]
    subprocess.run(command, check=True, timeout=200)
    _whole(tars, tmp_path / "own")
    assert (out / "index.json").read_bytes() == (tmp_path / "own" / "index.json").read_bytes()


def test_batches_stay_small_once_memory_did_not_suffice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A device holds 5 inputs: 16 are halved twice, and nothing larger than 4 is tried again."""
    fake, texts = HashAdapter("c", LoadOptions()), [f"caption {i}" for i in range(32)]
    expected = streaming.texts(fake, texts, Batch(16), "cpu")
    encode_texts, tried = fake.encode_texts, []

    def small(some: list[str]) -> torch.Tensor:
        tried.append(len(some))
        if len(some) > 5:
            raise torch.OutOfMemoryError
        return encode_texts(some)

    monkeypatch.setattr(fake, "encode_texts", small)
    assert torch.equal(streaming.texts(fake, texts, Batch(16), "cpu"), expected)
    assert tried == [16, 8, 4, 4, 8, 4, 4] + [4] * 4
