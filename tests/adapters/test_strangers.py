"""Checkpoints and pictures that try to run something: nothing of them runs, in any family."""

from __future__ import annotations

import builtins
import json
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import checkpoints, meru_checkpoint, openclip_checkpoint

from hiereval.adapters.blip import Blip
from hiereval.adapters.hf_clip import HFClip
from hiereval.adapters.meru import Meru
from hiereval.adapters.openclip import OpenClip
from hiereval.adapters.siglip import Siglip
from hiereval.adapters.text import TextEncoder
from hiereval.datasets.image_files import FORMATS, FileImage, decode, verify
from hiereval.errors import HierevalError
from hiereval.types import LoadOptions

Folder = Callable[[str], Path]
CLASSES = ("AutoConfig", "AutoModel", "AutoTokenizer", "AutoImageProcessor", "AutoProcessor")


def _evil(folder: Path, mark: Path) -> None:
    """Plant a module, and point every setting that a library might follow at it."""
    (folder / "evil.py").write_text(f"open({str(mark)!r}, 'w').write('ran')\nclass Evil: pass\n")
    plants: dict[str, Any] = {
        "auto_map": {
            name: ["evil.Evil", "evil.Evil"] if name == "AutoTokenizer" else "evil.Evil"
            for name in CLASSES
        },
        "trust_remote_code": True,
        "custom_pipelines": {"x": {"impl": "evil.Evil"}},
    }
    for name in ("config.json", "tokenizer_config.json", "preprocessor_config.json",
                 "processor_config.json", "sentence_bert_config.json"):  # fmt: skip
        file = folder / name
        if file.exists():
            file.write_text(json.dumps({**json.loads(file.read_text()), **plants}))


@pytest.fixture
def bert(tmp_path: Path) -> Path:
    from transformers import BertConfig, BertModel

    folder = tmp_path / "bert"
    checkpoints.bert_tokenizer(folder)
    BertModel(BertConfig(**checkpoints.SMALL, vocab_size=200)).save_pretrained(folder)
    (folder / "sentence_bert_config.json").write_text("{}")
    return folder


@pytest.mark.parametrize("trust", [False, True])
@pytest.mark.parametrize("kind", ["clip", "siglip", "siglip2", "naflex", "blip", "text"])
def test_no_code_of_a_checkpoint_runs(
    kind: str,
    trust: bool,
    copied: Folder,
    bert: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    pictures: list[Any],
) -> None:
    monkeypatch.setattr(builtins, "input", lambda *_: "y")  # to "Do you wish to run the code?"
    folder = bert if kind == "text" else copied(kind)
    _evil(folder, tmp_path / "RAN")
    options = LoadOptions(trust_remote_code=trust)
    if kind == "text":
        adapter: Any = TextEncoder(str(folder), options, "mean")
    else:
        adapter = {"clip": HFClip, "blip": Blip}.get(kind, Siglip)(str(folder), options)
        adapter.encode_images([adapter.preprocess(pictures[0])])
    assert adapter.encode_texts(["a bird"]).shape[0] == 1
    assert not (tmp_path / "RAN").exists()


def test_no_code_of_an_openclip_checkpoint_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(builtins, "input", lambda *_: "y")
    folder = openclip_checkpoint.write(tmp_path / "siglip", openclip_checkpoint.SIGLIP)
    _evil(folder, tmp_path / "RAN")
    adapter = OpenClip(f"local-dir:{folder}", LoadOptions(trust_remote_code=True))
    assert adapter.encode_texts(["a bird"]).shape == (1, 24)
    assert not (tmp_path / "RAN").exists()


class Runs:
    """A pickle that leaves a file where it is loaded with its code."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return (shutil.copyfile, (__file__, str(self.mark)))


def test_no_code_of_a_pickle_runs(copied: Folder, tmp_path: Path) -> None:
    import torch

    mark = tmp_path / "RAN"
    clip = copied("clip")
    (clip / "model.safetensors").unlink()
    torch.save({"x": Runs(mark)}, clip / "pytorch_model.bin")
    state = meru_checkpoint.state()
    torch.save({"model": state, "optimizer": Runs(mark)}, tmp_path / "meru.pth")
    openclip = openclip_checkpoint.write(tmp_path / "openclip", safe=False)
    torch.save({"x": Runs(mark)}, openclip / "open_clip_pytorch_model.bin")
    for make in (
        lambda: HFClip(str(clip), LoadOptions()).encode_texts(["a"]),
        lambda: Meru(str(tmp_path / "meru.pth"), LoadOptions()).encode_texts(["a"]),
        lambda: OpenClip(f"local-dir:{openclip}", LoadOptions()).encode_texts(["a"]),
    ):
        with pytest.raises(HierevalError):
            make()
    assert not mark.exists()


FORMATS_THAT_ARE_NOT_MEANT = {
    "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 20 20\n%%EndComments\nshowpage\n%%EOF\n",
    "xpm": b'/* XPM */\nstatic char *x[] = {"1 1 1 1", "a c #ffffff", "a"};\n',
    "fits": b"SIMPLE  =                    T".ljust(2880),
    "pdf": b"%PDF-1.4\n",
    "svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    "im": b"Image type: 1 image\r\nName: x\r\n".ljust(512, b"\0"),
}


@pytest.mark.parametrize("kind", list(FORMATS_THAT_ARE_NOT_MEANT))
@pytest.mark.parametrize("suffix", ["jpg", "own"])
def test_a_picture_starts_no_program(
    kind: str, suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("gs", "gswin64c", "inkscape", "convert", "pdftoppm"):
        program = programs / name
        program.write_text(f"#!/bin/sh\ntouch {tmp_path}/STARTED\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    file = tmp_path / f"x.{kind if suffix == 'own' else suffix}"
    file.write_bytes(FORMATS_THAT_ARE_NOT_MEANT[kind])
    for use in (decode, lambda image: verify([image])):
        with pytest.raises(HierevalError) as caught:
            use(FileImage(file.name, file))
        assert str(caught.value) == (
            f"The image {file.name!r} is empty or not an image ({', '.join(FORMATS)})."
        )
    assert not (tmp_path / "STARTED").exists()
