"""The `.pth` files of MERU, HyCoCLIP, UNCHA: found, measured from their tensors, loaded whole."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hiereval import snapshots
from hiereval.adapters.towers import ALL, Part
from hiereval.download import Remote, fetch
from hiereval.errors import HierevalError, nearest
from hiereval.types import Curvature, LoadOptions

if TYPE_CHECKING:
    from torch import Tensor

HEADS = {384: 12}  # of an image encoder of this width (MoCo-v3's small one); else width / 64
SCHEME = "https://"  # of a checkpoint that is an address
SCALARS = ("curv", "visual_alpha", "textual_alpha")
FACTORS = ("curvs", "visual_concept_alphas", "textual_concept_alphas")  # PHyCLIP's, one a factor
# UNCHA's losses alone use these: three temperatures and a head that no forward pass calls
TRAINING = (
    "global_logit_scale",
    "global_local_logit_scale",
    "local_logit_scale",
    "textual.min_radius_head.0.weight",
    "textual.min_radius_head.0.bias",
)
TEXT = ("textual.", "textual_alpha", "textual_concept_alphas.")
IMAGE = ("visual.", "visual_proj.", "visual_alpha", "visual_concept_alphas.", "pixel_")
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What builds the network; `curvature` is None for a CLIP baseline."""

    width: int = 768
    depth: int = 12
    patch_size: int = 16
    image_size: int = 224
    text_width: int = 512
    text_depth: int = 12
    vocabulary: int = 49408
    context_length: int = 77
    embed_dim: int = 512
    curvature: Curvature | None = 1.0  # where training starts; several for PHyCLIP's factors


ARCHITECTURES = {
    "vit-s": Shape(width=384),
    "vit-b": Shape(),
    "vit-l": Shape(width=1024, depth=24),
}


@dataclass(frozen=True)
class Files:
    """A checkpoint's shape and, but for a random initialisation, its file."""

    name: str
    shape: Shape
    file: Path | None
    revision: str | None = None
    n_params: int | None = None


def find(checkpoint: str, options: LoadOptions) -> Files:
    """Return what a path, a hub file, an address or (random) an architecture's name stands for."""
    if options.random_init is not None and checkpoint in ARCHITECTURES:
        return Files(checkpoint, ARCHITECTURES[checkpoint], None)
    file, revision = _file(checkpoint, options)
    state = read(checkpoint, file)
    shape = _shape(checkpoint, state)
    unused = ("pixel_", "textual.attn_mask", *TRAINING)
    parameters = sum(state[key].numel() for key in state if not key.startswith(unused))
    if options.random_init is not None:
        if shape.curvature is not None:
            factors = shape.curvature if isinstance(shape.curvature, tuple) else None
            start = tuple(1.0 for _ in factors) if factors else Shape.curvature
            shape = replace(shape, curvature=start)
        return Files(checkpoint, shape, None, revision, parameters)
    return Files(checkpoint, shape, file, revision, parameters)


def _file(checkpoint: str, options: LoadOptions) -> tuple[Path, str | None]:
    path = Path(checkpoint).expanduser()
    if path.is_file() or checkpoint.startswith(SCHEME):
        if options.revision is not None:
            raise HierevalError(
                f"The revision {options.revision!r} must be left out: {checkpoint!r} is a file."
            )
        return path if path.is_file() else _fetched(checkpoint, options), None
    organisation, _, rest = checkpoint.partition("/")
    repository, _, name = rest.partition("/")
    if not name.endswith(".pth") or not organisation or "/" in name:
        raise HierevalError(
            f"The checkpoint {checkpoint!r} must be an existing .pth file, a hub file as "
            "'avik-pal/hycoclip/hycoclip_vit_b.pth', or its https address; with --random-init also "
            f"one of {', '.join(ARCHITECTURES)}.{nearest(checkpoint, ARCHITECTURES)}"
        )
    found = snapshots.snapshot(
        "meru",
        f"{organisation}/{repository}",
        options,
        files=(name,),
        weights=[(name,)],
        model=f"meru:{checkpoint}",
    )
    return found.folder / name, found.revision


def _fetched(address: str, options: LoadOptions) -> Path:
    """Return the file behind an address, fetched once into the cache folder."""
    places = options.places
    name = f"{hashlib.sha256(address.encode()).hexdigest()[:16]}-{address.rpartition('/')[2]}"
    file = places.cache / "checkpoints" / name[-120:]
    if file.is_file():
        return file
    if places.offline:
        reason = "this run is offline"
    else:
        try:
            size = snapshots.within(places.answer_seconds, lambda: _size(address))
            fetch([Remote(address, file, None, size)], address)
            return file
        except (HierevalError, TimeoutError, OSError, ValueError) as error:
            reason = f"it could not be fetched ({' '.join(str(error).split())[:200]})"
    raise HierevalError(
        f"The checkpoint {address!r} must be at '{file}', because {reason}. "
        f"'hiereval download meru:{address}' fetches it where there is a network."
    )


def _size(address: str) -> int | None:
    """Return how many bytes an address says it has; raises OSError if it cannot be reached."""
    import requests

    with requests.get(address, stream=True, timeout=60) as answer:
        answer.raise_for_status()
        return int(answer.headers.get("Content-Length") or 0) or None


def read(name: str, file: Path) -> dict[str, Tensor]:
    """Return the tensors of a checkpoint, left on disk until they are used."""
    import torch

    try:
        content = torch.load(file, map_location="cpu", mmap=True, weights_only=True)
    except Exception as error:  # torch, zip and pickle each fail in their own way
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise HierevalError(
            f"The file {str(file)!r} must be a checkpoint of torch.save that loads with "
            f"weights_only=True: {type(error).__name__}: {' '.join(lines)[:200]}"
        ) from error
    state = content.get("model") if isinstance(content, dict) else None
    if not isinstance(state, dict) or "visual_proj.weight" not in state:
        raise HierevalError(
            f"The checkpoint {name!r} must hold MERU's layout: a dictionary whose 'model' has "
            "visual, textual, visual_proj and textual_proj."
        )
    return state


def _shape(name: str, state: Mapping[str, Tensor]) -> Shape:
    try:
        width, _, patch, _ = state["visual.patch_embed.proj.weight"].shape
        positions = state["visual.pos_embed"].shape[1] - 1  # the class token apart
        vocabulary, text_width = state["textual.token_embed.weight"].shape
        return Shape(
            width=width,
            depth=_count(state, "visual.blocks."),
            patch_size=patch,
            image_size=math.isqrt(positions) * patch,
            text_width=text_width,
            text_depth=_count(state, "textual.resblocks."),
            vocabulary=vocabulary,
            context_length=state["textual.posit_embed"].shape[0],
            embed_dim=state["visual_proj.weight"].shape[0],
            curvature=_curvature(state, state["visual_proj.weight"].shape[0]),
        )
    except (KeyError, ValueError) as error:
        raise HierevalError(f"The checkpoint {name!r} must hold MERU's layout: {error}.") from error


def _curvature(state: Mapping[str, Tensor], dimensions: int) -> Curvature | None:
    """Return the learned curvature: PHyCLIP's of each factor, or the one that the others have."""
    if factors := _count(state, f"{FACTORS[0]}."):
        if dimensions % factors:
            raise ValueError(f"{dimensions} dimensions are not {factors} equal factors")
        return tuple(float(state[f"{FACTORS[0]}.{i}"].exp()) for i in range(factors))
    return float(state["curv"].exp()) if "curv" in state else None


def _count(state: Mapping[str, Tensor], prefix: str) -> int:
    return len({key.removeprefix(prefix).split(".")[0] for key in state if key.startswith(prefix)})


def load(files: Files, options: LoadOptions, part: Part = ALL) -> Any:
    """Return a part of the network, in float32, evaluation mode, on the run's device.

    Raises HierevalError for missing, unexpected and misshapen tensors.
    """
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.random_init or 0)
        model = _build(files.shape, ALL if files.file is None else part)
    if files.file is not None:
        state = {_renamed(key): value for key, value in read(files.name, files.file).items()}
        for key in ("textual.attn_mask", *TRAINING):  # the mask is made again by the encoder
            state.pop(key, None)
        if "textual.text_projection" in state:
            state["textual.text_projection"] = state["textual.text_projection"].T.contiguous()
        try:
            model.load_state_dict(state, strict=True, assign=True)
        except RuntimeError as error:
            lines = [line.strip() for line in str(error).splitlines()]
            raise HierevalError(
                f"The weights of {files.name!r} must be exactly those of their architecture: "
                f"{' '.join(lines)[:300]}"
            ) from error
    return part.ready(model, options.device)


def _renamed(key: str) -> str:
    """Return open_clip's name for a tensor of the text encoder, whose blocks are the same."""
    key = key.replace("textual_proj.weight", "textual.text_projection")
    key = key.replace("textual.token_embed.", "textual.token_embedding.")
    key = key.replace("textual.posit_embed", "textual.positional_embedding")
    return key.replace("textual.resblocks.", "textual.transformer.resblocks.")


def _build(shape: Shape, part: Part) -> Any:
    """Return timm's vision transformer beside open_clip's text transformer, randomly weighted.

    What is absent from `part` takes no memory.
    """
    import torch
    from open_clip.transformer import TextTransformer
    from timm.models.vision_transformer import VisionTransformer

    model = torch.nn.Module()
    with part.building("visual."):
        model.visual = VisionTransformer(
            img_size=shape.image_size,
            patch_size=shape.patch_size,
            embed_dim=shape.width,
            depth=shape.depth,
            num_heads=HEADS.get(shape.width, max(1, shape.width // 64)),
            num_classes=0,
            global_pool="token",
            norm_layer=torch.nn.LayerNorm,  # epsilon 1e-5, not timm's 1e-6
        )
    model.visual_proj = torch.nn.Linear(shape.width, shape.embed_dim, bias=False)
    with part.building("textual."):
        model.textual = TextTransformer(
            context_length=shape.context_length,
            vocab_size=shape.vocabulary,
            width=shape.text_width,
            heads=max(1, shape.text_width // 64),
            layers=shape.text_depth,
            output_dim=shape.embed_dim,
            pool_type="argmax",  # the end token has the largest id
        )
    model.register_buffer("pixel_mean", torch.tensor(MEAN).reshape(3, 1, 1))
    model.register_buffer("pixel_std", torch.tensor(STD).reshape(3, 1, 1))
    model.logit_scale = torch.nn.Parameter(torch.tensor(1 / 0.07).log())
    if shape.curvature is not None:
        _add_scalars(model, shape, shape.curvature)
    return model


def _add_scalars(model: Any, shape: Shape, curvature: Curvature) -> None:
    """Give a network what its features are lifted by, where training starts.

    PHyCLIP's has the three of a single hyperboloid as well, which it does not use.
    """
    import torch

    factors = curvature if isinstance(curvature, tuple) else ()
    single, start = 1.0 if factors else curvature, -0.5 * math.log(shape.embed_dim)
    for scalar, value in zip(SCALARS, (math.log(single), start, start), strict=True):  # type: ignore[arg-type]
        setattr(model, scalar, torch.nn.Parameter(torch.tensor(value)))
    for name in FACTORS if factors else ():
        start = -0.5 * math.log(shape.embed_dim // len(factors))
        values = [math.log(c) if name == FACTORS[0] else start for c in factors]
        scalars = [torch.nn.Parameter(torch.tensor(value)) for value in values]
        setattr(model, name, torch.nn.ParameterList(scalars))
