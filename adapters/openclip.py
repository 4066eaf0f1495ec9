"""OpenCLIP (Ilharco et al.; Cherti et al., CVPR 2023): its names and tags, the hub, folders."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hiereval import fingerprint, snapshots
from hiereval.adapters import causal_text, openclip_files
from hiereval.adapters.image_processing import middle, to_rgb
from hiereval.adapters.precision import DTYPES, inference
from hiereval.errors import HierevalError
from hiereval.types import LoadOptions, Modality, ModelId

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

CONTEXT = 77  # tokens, where the configuration does not say


class OpenClip:
    """OpenCLIP models: ARCHITECTURE/TAG, hf-hub:org/name or local-dir:/path."""

    modalities: frozenset[Modality] = frozenset({"text", "image"})
    folder_prefix = openclip_files.LOCAL  # of a checkpoint that is a folder

    def __init__(self, checkpoint: str, options: LoadOptions) -> None:
        self.options = options
        self.files = files = openclip_files.find(checkpoint, options)
        self.tokenizer_folder = openclip_files.tokenizer_folder(files, options)
        self.context_length = int(files.text.get("context_length", CONTEXT))
        safe = files.weights is not None and files.weights.suffix == ".safetensors"
        self.id = ModelId(
            adapter="openclip",
            name=files.label,
            checkpoint=checkpoint,
            revision=files.revision,
            weights_sha256=fingerprint.weights_sha256([files.weights]) if files.weights else None,
            config_sha256=fingerprint.json_sha256(files.model),
            preprocess_fingerprint=fingerprint.json_sha256(
                {"convert": "RGB", "size": files.image_size, "preprocess": files.preprocess}
            ),
            tokenizer_fingerprint=openclip_files.tokenizer_fingerprint(
                files, self.tokenizer_folder
            ),
            dtype=DTYPES[options.precision],
            random_init=options.random_init,
            embed_dim=files.model["embed_dim"],
            n_params=fingerprint.safetensors_parameters(files.weights)
            if safe and files.weights
            else None,
            context_length=self.context_length,
            trust_remote_code=options.trust_remote_code,
        )

    @cached_property
    def model(self) -> Any:
        """Return the network in evaluation mode; loads the weights, all of them or none."""
        import torch

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.options.random_init or 0)
            model = _build(self.files, self.options)
        if self.files.weights is not None:
            _load(model, self.files.name, self.files.weights)
        return model.float().eval().requires_grad_(False).to(self.options.device)

    @cached_property
    def tokenizer(self) -> Any:
        """Return the tokenizer that the configuration names."""
        from open_clip.tokenizer import HFTokenizer, SimpleTokenizer

        settings = {
            "context_length": self.context_length,
            **self.files.text.get("tokenizer_kwargs", {}),
        }
        if self.tokenizer_folder is None:
            return SimpleTokenizer(**settings)
        mode = self.files.text.get("tokenizer_mode")
        try:
            return HFTokenizer(str(self.tokenizer_folder), tokenizer_mode=mode, **settings)
        except Exception as error:
            reason = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
            raise HierevalError(
                f"The tokenizer of {self.files.name!r} must be readable ({reason})."
            ) from error

    @cached_property
    def transform(self) -> Any:
        """Return open_clip's own preprocessing for evaluation."""
        from open_clip.transform import PreprocessCfg, image_transform_v2

        settings = PreprocessCfg(**{**self.files.preprocess, "size": self.files.image_size})
        return image_transform_v2(settings, is_train=False)

    def text_lengths(self, texts: Sequence[str]) -> list[int]:
        """Return each text's number of tokens before truncation, specials included."""
        if self.tokenizer_folder is None:
            return [len(self.tokenizer.encode(text)) + 2 for text in texts]
        cleaned = [self.tokenizer.clean_fn(text) for text in texts]
        encoded = self.tokenizer.tokenizer(cleaned, truncation=False, verbose=False)
        return [len(ids) for ids in encoded["input_ids"]]

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """Return [n, d] float32 text vectors of the joint space, not normalised."""
        device = self.options.device
        with inference(self.options.precision, device):
            if self.tokenizer_folder is None:
                return causal_text.encode(
                    self.model, "encode_text", self.tokenizer, texts, device
                ).float()
            ids = self.tokenizer(list(texts)).to(device)  # padded to the context length
            return self.model.encode_text(ids, normalize=False).float()

    def text_tower(self) -> tuple[Any, tuple[str, ...]]:
        """Return the network and the prefixes of its text side's parameters, for fine-tuning."""
        if hasattr(self.model, "text"):
            return self.model, ("text.",)
        towers = ("token_embedding.", "positional_embedding", "transformer.", "ln_final.")
        return self.model, (*towers, "text_projection")

    def save(self, folder: Path) -> None:
        """Write the network as it is now into an empty folder, for `local-dir:`."""
        self.files.save(self.model, folder, self.tokenizer_folder)

    def preprocess(self, image: Image) -> Tensor:
        """Return one picture's pixels [3, h, w] as the model takes them."""
        image = to_rgb(image)
        if self.files.preprocess.get("resize_mode", "shortest") == "shortest":
            image = middle(image)
        return self.transform(image)

    def encode_images(self, inputs: Sequence[Tensor]) -> Tensor:
        """Return [n, d] float32 image vectors of the joint space, not normalised."""
        import torch

        with inference(self.options.precision, self.options.device):
            batch = torch.stack(list(inputs)).to(self.options.device)
            return self.model.encode_image(batch, normalize=False).float()


def _build(files: openclip_files.Files, options: LoadOptions) -> Any:
    """Return the architecture with random weights, fetching none for its towers."""
    import open_clip

    model_cfg = copy.deepcopy(dict(files.model))
    custom_text = model_cfg.pop("custom_text", False) or "hf_model_name" in model_cfg["text_cfg"]
    if "hf_model_name" in model_cfg["text_cfg"]:  # its configuration alone, never its weights
        name = str(model_cfg["text_cfg"]["hf_model_name"])
        other = LoadOptions(places=options.places, random_init=0)
        folder = snapshots.snapshot("openclip", name, other).folder
        model_cfg["text_cfg"].update(hf_model_name=str(folder), hf_model_pretrained=False)
    if "timm_model_name" in model_cfg["vision_cfg"]:
        model_cfg["vision_cfg"]["timm_model_pretrained"] = False
    cls = open_clip.CLIP
    if custom_text:
        cls = open_clip.CoCa if "multimodal_cfg" in model_cfg else open_clip.CustomTextCLIP
    try:
        return cls(**model_cfg)
    except (TypeError, ValueError, RuntimeError, AssertionError) as error:
        raise HierevalError(
            f"The configuration of {files.name!r} must be one that open_clip "
            f"{open_clip.__version__} builds: {type(error).__name__}: {error}"
        ) from error


def _load(model: Any, name: str, file: Path) -> None:
    """Load every weight; refuse missing, unexpected and resized ones."""
    from open_clip.factory import load_checkpoint

    expected = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    try:
        for key, shape in _positions(file).items():
            if expected.get(key, shape) != shape:  # open_clip would interpolate it
                raise ValueError(f"{key} is {list(shape)}, not {list(expected[key])}")
        load_checkpoint(model, str(file), strict=True, weights_only=True)
    except Exception as error:  # torch, safetensors and pickle each fail in their own way
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        reason = " ".join(lines)[:300]
        raise HierevalError(
            f"The weights of {name!r} must be exactly those of its configuration: {reason}"
        ) from error


def _positions(file: Path) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the positional embeddings, which open_clip resizes unasked."""
    import torch
    from safetensors import safe_open

    if file.suffix == ".safetensors":
        with safe_open(file, "pt") as tensors:
            slices = {key: tensors.get_slice(key) for key in tensors.keys()}  # noqa: SIM118
            shapes = {key: tuple(part.get_shape()) for key, part in slices.items()}
    else:
        state = torch.load(file, map_location="meta", weights_only=True)
        state = state.get("state_dict", state)
        shapes = {key.removeprefix("module."): tuple(part.shape) for key, part in state.items()}
    return {key: shape for key, shape in shapes.items() if "pos" in key and "embed" in key}
