"""OpenCLIP (Ilharco et al.; Cherti et al., CVPR 2023): its names and tags, the hub, folders."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

from hiereval import fingerprint
from hiereval.adapters import (
    causal_text,
    openclip_files,
    openclip_texts,
    settings,
    training_files,
    vocabulary,
)
from hiereval.adapters.devices import stacked, to_device
from hiereval.adapters.image_processing import middle, to_rgb
from hiereval.adapters.precision import DTYPES, inference
from hiereval.adapters.towers import ALL, Part, Towers
from hiereval.errors import HierevalError
from hiereval.types import LoadOptions, Modality, ModelId

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

# open_clip keeps the text tower under `text`, or has its parts beside the image tower
TEXT = (
    "text.", "token_embedding.", "positional_embedding", "transformer.", "ln_final.",
    "text_projection", "attn_mask",
)  # fmt: skip
IMAGE = ("visual.",)
CONTEXT = 77  # tokens, where the configuration does not say


class OpenClip:
    """OpenCLIP models: ARCHITECTURE/TAG, hf-hub:org/name or local-dir:/path."""

    modalities: frozenset[Modality] = frozenset({"text", "image"})
    folder_prefix = openclip_files.LOCAL  # of a checkpoint that is a folder

    def __init__(self, checkpoint: str, options: LoadOptions) -> None:
        self.options = options
        self.files = files = openclip_files.find(checkpoint, options)
        self.tokenizer_folder = openclip_texts.tokenizer_folder(files, options)
        self.tower = openclip_texts.tower(files, options)
        self.context_length = settings.whole(files.name, files.text, "context_length", CONTEXT)
        safe = files.weights is not None and files.weights.suffix == ".safetensors"
        self.id = ModelId(
            adapter="openclip",
            name=files.label,
            checkpoint=checkpoint,
            revision=files.revision,
            weights_sha256=_weights_sha256(files, options),
            adapter_version=2,
            config_sha256=fingerprint.json_sha256({"model": files.model, "tower": self.tower}),
            preprocess_fingerprint=fingerprint.json_sha256(
                {"convert": "RGB", "size": files.image_size, "preprocess": files.preprocess}
            ),
            tokenizer_fingerprint=self._tokenizer_fingerprint(),
            dtype=DTYPES[options.precision],
            random_init=options.random_init,
            embed_dim=files.model["embed_dim"],
            n_params=fingerprint.safetensors_parameters(files.weights)
            if safe and files.weights
            else None,
            context_length=self.context_length,
        )

    @cached_property
    def towers(self) -> Towers:
        """Return the network's towers; each loads its weights when it first encodes."""
        files, tower, options, hashed = (
            self.files, self.tower, self.options, self.id.weights_sha256,
        )  # fmt: skip

        def load_part(part: Part) -> Any:
            import torch

            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(options.random_init or 0)
                model = build(files, tower, ALL if files.weights is None else part)
            if files.weights is not None:
                load(model, files.name, training_files.tensors(files.weights))
                if _weights_sha256(files, options) != hashed:
                    raise HierevalError(f"The weights of {files.name!r} changed as they were read.")
            return part.ready(model, options.device)

        return Towers(load_part, TEXT, IMAGE)

    @cached_property
    def tokenizer(self) -> Any:
        """Return the tokenizer that the configuration names, checked to be the model's."""
        from open_clip.tokenizer import HFTokenizer, SimpleTokenizer

        arguments = {
            "context_length": self.context_length,
            **openclip_texts.tokenizer_arguments(self.files),
        }
        text, size = self.tower or self.files.text, None
        if self.tokenizer_folder is None:
            try:
                tokenizer = SimpleTokenizer(**arguments)
            except TypeError as error:
                raise HierevalError(
                    f"The tokenizer_kwargs of {self.files.name!r} must be CLIP's: {error}."
                ) from error
            size = len(tokenizer.encoder)
        else:
            arguments["tokenizer_mode"] = self.files.text.get("tokenizer_mode")
            stated = vocabulary.read_settings(self.files.name, self.tokenizer_folder)
            sides = {key: stated[key] for key in vocabulary.SIDES if key in stated}
            tokenizer = vocabulary.load(
                self.files.name,
                self.tokenizer_folder,
                build=lambda folder, **loading: HFTokenizer(
                    folder,
                    **arguments,
                    **{**loading, **sides},  # open_clip trains on these
                ),
            )
        positions = settings.whole(
            self.files.name, self.tower or {}, "max_position_embeddings", self.context_length
        )
        vocabulary.check(
            self.files.name,
            lambda texts: tokenizer(texts).tolist(),
            size=size,  # a SentencePiece vocabulary's extra ids may lie beyond the network's rows
            embedding=settings.whole(self.files.name, text, "vocab_size", 0) or None,
            context=self.context_length,
            positions=positions,
        )
        return tokenizer

    def _tokenizer_fingerprint(self) -> str:
        keys = ("context_length", "tokenizer_kwargs", "tokenizer_mode")
        stated = {key: self.files.text.get(key) for key in keys}
        openclip_texts.tokenizer_arguments(self.files)
        if self.tokenizer_folder is None:
            return fingerprint.json_sha256({"tokenizer": "CLIP BPE", **stated})
        effective = vocabulary.fingerprint_of(
            self.tokenizer_folder,
            {**stated, "name": "open_clip", "tower": self.tower, "text": self.files.text},
            self.options.places.cache,
            lambda: self.tokenizer.tokenizer,
        )
        return fingerprint.json_sha256({"tokenizer": effective, **stated})

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
                    self.towers.text, "encode_text", self.tokenizer, texts, device, normalize=False
                ).float()
            ids = to_device(self.tokenizer(list(texts)), device)  # padded to the context length
            return self.towers.text.encode_text(ids, normalize=False).float()

    def text_tower(self) -> tuple[Any, tuple[str, ...]]:
        """Return the network and the prefixes of its text side's parameters, for fine-tuning."""
        return self.towers.whole, TEXT

    def save(self, folder: Path) -> None:
        """Write the network as it is now into an empty folder, for `local-dir:`."""
        self.files.save(self.towers.whole, folder, self.tokenizer_folder, self.tower)

    def preprocess(self, image: Image) -> Tensor:
        """Return one picture's pixels [3, h, w] as the model takes them."""
        image = to_rgb(image)
        if self.files.preprocess.get("resize_mode", "shortest") == "shortest":
            image = middle(image)
        return self.transform(image)

    def encode_images(self, inputs: Sequence[Tensor]) -> Tensor:
        """Return [n, d] float32 image vectors of the joint space, not normalised."""
        with inference(self.options.precision, self.options.device):
            batch = stacked(inputs, self.options.device)
            return self.towers.image.encode_image(batch, normalize=False).float()


def _weights_sha256(files: openclip_files.Files, options: LoadOptions) -> str | None:
    file = files.weights
    return fingerprint.weights_sha256([file], options.places.cache) if file else None


def build(files: openclip_files.Files, tower: Mapping[str, Any] | None, part: Part = ALL) -> Any:
    """Return the architecture with random weights; its towers fetch nothing and run no code.

    What is absent from `part` takes no memory.
    """
    import open_clip
    import timm

    model_cfg = copy.deepcopy(dict(files.model))
    text, vision = model_cfg["text_cfg"], model_cfg["vision_cfg"]
    custom_text = model_cfg.pop("custom_text", False) or tower is not None
    if "timm_model_name" in vision:
        vision["timm_model_pretrained"] = False
        if not timm.is_model(vision["timm_model_name"]):
            raise HierevalError(
                f"The timm_model_name {vision['timm_model_name']!r} of {files.name!r} must be an "
                f"architecture of timm {timm.__version__}."
            )
    cls = open_clip.CLIP
    if custom_text:
        cls = open_clip.CoCa if "multimodal_cfg" in model_cfg else open_clip.CustomTextCLIP
    with tempfile.TemporaryDirectory(prefix="hiereval-") as made:
        if tower is not None:  # its configuration alone, cleaned, never its weights
            import transformers

            kind = transformers.CONFIG_MAPPING[tower["model_type"]]
            settings.configuration(kind, files.name, tower).save_pretrained(made)
            text.update(hf_model_name=made, hf_model_pretrained=False)
        try:
            with _absent(part):
                return cls(**model_cfg)
        except Exception as error:  # each part checks its settings in its own way
            line = " ".join(str(error).split())[:200]
            raise HierevalError(
                f"The configuration of {files.name!r} must be one that open_clip "
                f"{open_clip.__version__} builds: {type(error).__name__}: {line}"
            ) from error


@contextmanager
def _absent(part: Part) -> Iterator[None]:
    """Let open_clip build an absent tower without memory."""
    from open_clip import coca_model, model

    def within(build: Callable[..., Any], name: str) -> Callable[..., Any]:
        def built(*args: Any, **given: Any) -> Any:
            with part.building(name):
                return build(*args, **given)

        return built

    with ExitStack() as stack:
        for kind, name in (("vision", IMAGE[0]), ("text", TEXT[0])):
            builder = within(getattr(model, f"_build_{kind}_tower"), name)
            for module in (model, coca_model):
                stack.enter_context(mock.patch.object(module, f"_build_{kind}_tower", builder))
        yield


def load(model: Any, name: str, state: dict[str, Any]) -> None:
    """Take every weight as it is; refuse missing, unexpected and resized ones.

    Layouts of other projects become open_clip's, as it does it itself.
    """
    from open_clip.convert import convert_state_dict
    from open_clip.model import convert_to_custom_text_state_dict

    expected = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    try:
        state = convert_state_dict(model, state)
        if "positional_embedding" in state and "positional_embedding" not in expected:
            state = convert_to_custom_text_state_dict(state)
        for scalar in {"logit_scale", "logit_bias"} & expected.keys():
            if scalar in state:
                state[scalar] = state[scalar].reshape(expected[scalar])
            elif scalar == "logit_bias":  # no vector depends on it
                state[scalar] = model.state_dict()[scalar]
        state.pop("text.transformer.embeddings.position_ids", None)
        model.load_state_dict(state, strict=True, assign=True)
    except Exception as error:  # torch, safetensors and pickle each fail in their own way
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        kept = lines if len(lines) == 1 else lines[1:]  # the first says which class
        reason = " ".join(kept)[:300]
        raise HierevalError(
            f"The weights of {name!r} must be exactly those of its configuration: {reason}"
        ) from error
