"""OpenCLIP checkpoints as local files: a name and tag, a hub repository, or a folder."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hiereval import fingerprint, snapshots
from hiereval.adapters import settings, vocabulary
from hiereval.errors import HierevalError, nearest
from hiereval.types import LoadOptions

CONFIG = "open_clip_config.json"
# in the order in which open_clip itself looks for them
WEIGHTS = (
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.safetensors",
    "open_clip_pytorch_model.bin",
    "open_clip_pytorch_model.pth",
)
HUB, LOCAL = "hf-hub:", "local-dir:"
TOWER = "text_tower"  # folder of a text tower's configuration
PREPROCESSING = ("mean", "std", "interpolation", "resize_mode", "fill_color", "size", "mode")


@dataclass(frozen=True)
class Files:
    """A model's configuration and where its weights and its tokenizer are."""

    name: str
    model: Mapping[str, Any]  # model_cfg: embed_dim, text_cfg, vision_cfg, quick_gelu, ...
    preprocess: Mapping[str, Any]  # preprocess_cfg: mean, std, interpolation, resize_mode
    folder: Path | None  # None for an architecture without weights
    weights: Path | None  # None for a random initialisation
    revision: str | None

    @property
    def label(self) -> str:
        """Return what to call the model: no path of this machine."""
        if self.name.startswith(LOCAL):
            return snapshots.label(self.name.removeprefix(LOCAL))
        return self.name.removeprefix(HUB)

    @property
    def text(self) -> Mapping[str, Any]:
        """Return the text tower's configuration."""
        return self.model["text_cfg"]

    def save(
        self,
        model: Any,
        folder: Path,
        tokenizer: Path | None,
        tower: Mapping[str, Any] | None = None,
    ) -> None:
        """Write a network of this configuration as a folder for `local-dir:`."""
        from safetensors.torch import save_file

        state = {key: value.contiguous().cpu() for key, value in model.state_dict().items()}
        save_file(state, folder / WEIGHTS[0])
        config = {"model_cfg": self.model, "preprocess_cfg": self.preprocess}
        (folder / CONFIG).write_text(json.dumps(config, indent=1), "utf-8")
        if tower is not None:
            (folder / TOWER).mkdir()
            (folder / TOWER / "config.json").write_text(json.dumps(tower, indent=1), "utf-8")
        if tokenizer is None:
            return
        for name in vocabulary.FILES:
            if (tokenizer / name).is_file():
                shutil.copyfile(tokenizer / name, folder / name)

    @property
    def image_size(self) -> Any:
        """Return the side of the pictures, or (height, width)."""
        return self.model["vision_cfg"].get("image_size", 224)


def find(checkpoint: str, options: LoadOptions) -> Files:
    """Return the files of `ARCHITECTURE/TAG`, `hf-hub:org/name` or `local-dir:/path`.

    Raises HierevalError for unknown names, for a bare weight file (its preprocessing would be
    guessed), and for an architecture whose activation is not the one that the tag was trained with.
    """
    if checkpoint.startswith((HUB, LOCAL)):
        return _from_folder(checkpoint, options)
    architecture, slash, tag = checkpoint.partition("/")
    if Path(checkpoint).exists() or (slash and Path(tag).is_file()):
        kind = "folder" if Path(checkpoint).is_dir() else "bare weight file"
        file, named = (checkpoint, "NAME") if Path(checkpoint).exists() else (tag, architecture)
        way = f" 'hiereval convert {file} --architecture {named} --out FOLDER' makes one."
        raise HierevalError(
            f"The checkpoint {checkpoint!r} must be given as '{LOCAL}FOLDER', a folder with "
            f"{CONFIG}; it is a {kind}, and its preprocessing would be guessed."
            f"{'' if kind == 'folder' else way}"
        )
    return _from_tag(checkpoint, architecture, tag, options)


def _from_folder(checkpoint: str, options: LoadOptions) -> Files:
    name = checkpoint.removeprefix(HUB).removeprefix(LOCAL)
    if checkpoint.startswith(LOCAL) and not Path(name).expanduser().is_dir():
        raise HierevalError(f"The folder {name!r} of {checkpoint!r} must exist.")
    groups = [(file,) for file in WEIGHTS]
    spec = f"openclip:{checkpoint}"
    found = snapshots.snapshot("openclip", name, options, weights=groups, model=spec)
    config = found.folder / CONFIG
    if not config.is_file():
        transformers = (found.folder / "config.json").is_file()
        hint = f" It is in transformers' format: 'hf-clip:{name}'." if transformers else ""
        raise HierevalError(f"The checkpoint {checkpoint!r} must hold {CONFIG}.{hint}")
    values = fingerprint.read_json(config)
    model, preprocess = values.get("model_cfg"), values.get("preprocess_cfg")
    if not isinstance(model, dict) or not {"embed_dim", "text_cfg", "vision_cfg"} <= model.keys():
        raise HierevalError(
            f"The file '{config}' must hold model_cfg with embed_dim, text_cfg and vision_cfg."
        )
    if not isinstance(preprocess, dict) or not {"mean", "std"} <= preprocess.keys():
        raise HierevalError(
            f"The file '{config}' must hold preprocess_cfg with mean and std: without it OpenAI's "
            "would be taken."
        )
    if checkpoint.startswith(HUB):
        _check_activation(checkpoint, model, name)
    settings.refuse_lora(checkpoint, found.folder)
    weights = None
    if options.random_init is None:
        weights = _weights(checkpoint, found.folder, WEIGHTS)
    files = Files(checkpoint, model, preprocess, found.folder, weights, found.revision)
    check_configuration(files)
    return files


def _from_tag(checkpoint: str, architecture: str, tag: str, options: LoadOptions) -> Files:
    import open_clip

    model = open_clip.get_model_config(architecture)
    if model is None:
        known = open_clip.list_models()
        raise HierevalError(
            f"The architecture {architecture!r} must be one of OpenCLIP's {len(known)}."
            f"{nearest(architecture, known)} Checkpoints elsewhere are '{HUB}org/name' and "
            f"'{LOCAL}FOLDER'."
        )
    if not tag and options.random_init is not None:
        return Files(checkpoint, model, defaults(), None, None, None)
    tags = open_clip.list_pretrained_tags_by_model(architecture)
    if tag not in tags:
        given = f"The tag {tag!r} of {architecture!r}" if tag else f"The checkpoint {checkpoint!r}"
        form = "" if tag else f"name its weights, as {architecture}/TAG; the tag must "
        raise HierevalError(
            f"{given} must {form}be one of {', '.join(tags) or '(there is none)'}."
            f"{nearest(tag, tags)}"
        )
    pretrained = open_clip.get_pretrained_cfg(architecture, tag)
    if pretrained.get("quick_gelu", False) != model.get("quick_gelu", False):
        other = architecture.removesuffix("-quickgelu")
        other = other if other != architecture else f"{architecture}-quickgelu"
        fits = tag in open_clip.list_pretrained_tags_by_model(other)
        hint = f" Did you mean '{other}/{tag}'?" if fits else ""
        raise HierevalError(
            f"The architecture of {checkpoint!r} must have the activation that the tag was trained "
            f"with ({_activation(pretrained)}, not {_activation(model)}).{hint}"
        )
    repository, _, file = pretrained["hf_hub"].rpartition("/")
    names = WEIGHTS if not file else (f"{file.rpartition('.')[0]}.safetensors", file)
    groups = [(name,) for name in names]
    spec = f"openclip:{checkpoint}"
    found = snapshots.snapshot("openclip", repository, options, weights=groups, model=spec)
    weights = _weights(checkpoint, found.folder, names) if options.random_init is None else None
    keys = ("mean", "std", "interpolation", "resize_mode", "fill_color")
    preprocess = {**defaults(), **{key: pretrained[key] for key in keys if key in pretrained}}
    return Files(checkpoint, model, preprocess, found.folder, weights, found.revision)


def defaults() -> dict[str, Any]:
    """Return the preprocessing that open_clip takes where a tag says nothing else."""
    from open_clip.transform import PreprocessCfg

    return {"mean": PreprocessCfg.mean, "std": PreprocessCfg.std}


def _weights(checkpoint: str, folder: Path, names: Sequence[str]) -> Path:
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise HierevalError(
        f"The checkpoint {checkpoint!r} must hold {' or '.join(names)}. "
        "'--random-init SEED' measures the architecture without weights."
    )


def _check_activation(checkpoint: str, model: Mapping[str, Any], repository: str) -> None:
    """Refuse a hub configuration that contradicts open_clip's own table for that repository."""
    import open_clip

    for architecture, tag in open_clip.list_pretrained():
        pretrained = open_clip.get_pretrained_cfg(architecture, tag)
        if pretrained.get("hf_hub", "").rpartition("/")[0] != repository:
            continue
        if pretrained.get("quick_gelu", False) != model.get("quick_gelu", False):
            raise HierevalError(
                f"The configuration of {checkpoint!r} must have the activation of the tag {tag!r} "
                f"({_activation(pretrained)}, not {_activation(model)})."
            )


def _activation(pretrained: Mapping[str, Any]) -> str:
    return "QuickGELU" if pretrained.get("quick_gelu", False) else "GELU"


def check_configuration(files: Files) -> None:
    """Refuse settings that would choose something other than an architecture."""
    import math

    vision = settings.table(files.name, files.model, "vision_cfg")
    settings.table(files.name, files.model, "text_cfg")
    settings.whole(files.name, files.model, "embed_dim", 1)
    timm = settings.text(files.name, vision, "timm_model_name", "")
    if timm and not re.fullmatch(r"[\w.]+", timm):
        raise HierevalError(
            f"The timm_model_name {timm!r} of {files.name!r} must be an architecture of timm."
        )
    for key in files.preprocess:
        if key not in PREPROCESSING:
            raise HierevalError(
                f"The preprocess_cfg of {files.name!r} must be of {', '.join(PREPROCESSING)}, "
                f"not {key!r}."
            )
    for key in ("mean", "std"):
        value = files.preprocess.get(key)
        numbers = isinstance(value, list | tuple) and len(value) == 3
        if not numbers or not all(
            isinstance(x, int | float) and math.isfinite(x) and (key == "mean" or x > 0)
            for x in value or ()
        ):
            raise HierevalError(
                f"The {key} of {files.name!r} must be three numbers, not {settings.shown(value)}."
            )
