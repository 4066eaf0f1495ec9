"""From a file of open_clip's training to a folder that `openclip:local-dir:` loads."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hiereval import fingerprint
from hiereval.adapters import openclip, openclip_files, openclip_texts, settings, training_files
from hiereval.errors import HierevalError
from hiereval.files import check_vacant, write_folder
from hiereval.types import LoadOptions


def convert(file: Path, architecture: str, out: Path, options: LoadOptions) -> int:
    """Write the folder of an architecture with a file's weights; return how many values they are.

    `architecture` is one of open_clip's names, or a JSON file as open_clip's model_configs hold
    them. The weights must be exactly its. The preprocessing is open_clip's default, or that of the
    JSON file; the tokenizer's files, and the configuration of a text tower that transformers
    builds, come from the hub or its cache. The folder appears whole or not at all.
    """
    check_vacant(out)
    files = _files(architecture, options)
    tower = openclip_texts.tower(files, options)
    tokenizer = openclip_texts.tokenizer_folder(files, options)
    state = training_files.tensors(file)
    model = openclip.build(files, tower)
    openclip.load(model, str(file), state)
    try:
        write_folder(out, lambda made: files.save(model.float(), made, tokenizer, tower))
    except OSError as error:
        raise HierevalError(
            f"The folder {str(out)!r} must be writable: {error.strerror}."
        ) from error
    return sum(parameter.numel() for parameter in model.parameters())


def _files(architecture: str, options: LoadOptions) -> openclip_files.Files:
    """Return the configuration of a name, or of a JSON file."""
    path = Path(architecture).expanduser()
    if not path.is_file():
        return openclip_files.find(architecture, replace(options, random_init=0))
    stated = fingerprint.read_json(path)
    model = settings.table(architecture, stated, "model_cfg") or stated
    lacking = [key for key in ("embed_dim", "text_cfg", "vision_cfg") if key not in model]
    if lacking:
        raise HierevalError(f"The file {architecture!r} must hold {', '.join(lacking)}.")
    preprocess = {
        **openclip_files.defaults(),
        **settings.table(architecture, stated, "preprocess_cfg"),
    }
    files = openclip_files.Files(architecture, model, preprocess, None, None, None)
    openclip_files.check_configuration(files)
    return files
