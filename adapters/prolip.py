"""ProLIP (Chun et al., ICLR 2025) and LongProLIP: a Gaussian for every text and image.

A vector is the mean and, behind it, the logarithms of the variances (geometry `gaussian`). Files
are those that the authors' `ProLIPHF` pushes: config.json and model.safetensors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hiereval import fingerprint, snapshots
from hiereval.adapters import settings, vocabulary
from hiereval.adapters.devices import stacked, to_device
from hiereval.adapters.image_processing import middle, to_rgb
from hiereval.adapters.precision import DTYPES, inference
from hiereval.adapters.towers import ALL, Part, Towers
from hiereval.errors import HierevalError, nearest
from hiereval.types import LoadOptions, Modality, ModelId

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

CONFIG, WEIGHTS = "config.json", "model.safetensors"
# what a configuration may say; None: anything, else what it must say where it does
FIELDS: dict[str, dict[str, Any]] = {
    "": dict.fromkeys(
        ("embed_dim", "quick_gelu", "init_logit_scale", "init_logit_bias", "vision_cfg", "text_cfg")
    ),
    "vision_cfg": {
        **dict.fromkeys(("image_size", "layers", "width", "head_width", "mlp_ratio", "patch_size")),
        "init_unc_bias": None,
        "embed_unc": True,
    },
    "text_cfg": {
        **dict.fromkeys(("context_length", "vocab_size", "width", "heads", "layers", "mlp_ratio")),
        **dict.fromkeys(("hf_tokenizer_name", "tokenizer_kwargs", "norm_kwargs", "init_unc_bias")),
        "pool_type": None,  # the token for the mean stands in its place
        "no_causal_mask": True,
        "proj_bias": True,
        "embed_cls": True,
        "embed_unc": True,
    },
}
NUMBERS = {
    "": ("embed_dim",),
    "vision_cfg": ("image_size", "layers", "width", "patch_size"),
    "text_cfg": ("context_length", "vocab_size", "width", "heads", "layers"),
}


class ProLip:
    """ProLIP and LongProLIP: a folder or a hub repository."""

    modalities: frozenset[Modality] = frozenset({"text", "image"})

    def __init__(self, checkpoint: str, options: LoadOptions) -> None:
        self.options, self.name = options, snapshots.label(checkpoint)
        found = snapshots.snapshot("prolip", checkpoint, options, weights=[(WEIGHTS,)])
        self.config = read(self.name, found.folder / CONFIG)
        self.text = self.config["text_cfg"]
        self.weights = found.folder / WEIGHTS if options.random_init is None else None
        if self.weights is not None and not self.weights.is_file():
            raise HierevalError(f"The checkpoint {self.name!r} must hold {WEIGHTS}.")
        self.tokenizer_folder = self._tokenizer_folder(found.folder)
        self.id = ModelId(
            adapter="prolip",
            name=self.name,
            checkpoint=checkpoint,
            revision=found.revision,
            weights_sha256=self._weights_sha256(),
            config_sha256=fingerprint.json_sha256(self.config),
            preprocess_fingerprint=fingerprint.json_sha256(
                {"convert": "RGB", "resize": "bicubic shortest", "normalise": "OpenAI's"}
            ),
            tokenizer_fingerprint=vocabulary.fingerprint_of(
                self.tokenizer_folder,
                {"prolip": self.text},
                options.places.cache,
                lambda: self.tokenizer.tokenizer,
            ),
            dtype=DTYPES[options.precision],
            geometry="gaussian",
            random_init=options.random_init,
            embed_dim=2 * self.config["embed_dim"],
            n_params=fingerprint.safetensors_parameters(self.weights) if self.weights else None,
            context_length=self.text["context_length"],
        )

    @cached_property
    def towers(self) -> Towers:
        """Return both towers; each loads its weights when it first encodes."""
        config, file, name, options = self.config, self.weights, self.name, self.options
        hashed = self.id.weights_sha256

        def load(part: Part) -> Any:
            import torch

            from hiereval.adapters import prolip_network

            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(options.random_init or 0)
                model = prolip_network.build(config, part if file else ALL)
            if file is not None:
                take(model, name, file)
                if fingerprint.weights_sha256([file], options.places.cache) != hashed:
                    raise HierevalError(f"The weights of {name!r} changed as they were read.")
            return part.ready(model, options.device)

        return Towers(load, text=("text.",), image=("visual.",))

    @cached_property
    def tokenizer(self) -> Any:
        """Return the tokenizer that the configuration names, checked to be the model's."""
        from open_clip.tokenizer import HFTokenizer

        context = self.text["context_length"]
        clean = self.text.get("tokenizer_kwargs", {}).get("clean", "whitespace")
        tokenizer = vocabulary.load(
            self.name,
            self.tokenizer_folder,
            build=lambda folder, **loading: HFTokenizer(
                folder, context_length=context, clean=clean, **loading
            ),
        )
        vocabulary.check(
            self.name,
            lambda texts: tokenizer(texts).tolist(),
            size=None,  # a SentencePiece vocabulary's extra ids may lie beyond the network's rows
            embedding=self.text["vocab_size"],
            context=context,
        )
        return tokenizer

    @cached_property
    def transform(self) -> Any:
        """Return the authors' preprocessing for evaluation: OpenAI's, as open_clip has it."""
        from open_clip.transform import PreprocessCfg, image_transform_v2

        size = self.config["vision_cfg"]["image_size"]
        return image_transform_v2(PreprocessCfg(size=size), is_train=False)

    def text_lengths(self, texts: Sequence[str]) -> list[int]:
        """Return each text's number of tokens before truncation, the end token included."""
        cleaned = [self.tokenizer.clean_fn(text) for text in texts]
        encoded = self.tokenizer.tokenizer(cleaned, truncation=False, verbose=False)
        return [len(ids) for ids in encoded["input_ids"]]

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """Return [n, 2 d] float32: means, not normalised, and logarithms of variances."""
        with inference(self.options.precision, self.options.device):
            ids = self.tokenizer(list(texts))  # always the whole context
            return self.towers.text.text(to_device(ids, self.options.device)).float()

    def preprocess(self, image: Image) -> Tensor:
        """Return one picture's normalised pixels [3, h, w]."""
        return self.transform(middle(to_rgb(image)))

    def encode_images(self, inputs: Sequence[Tensor]) -> Tensor:
        """Return [n, 2 d] float32: means, not normalised, and logarithms of variances."""
        with inference(self.options.precision, self.options.device):
            return self.towers.image.visual(stacked(inputs, self.options.device)).float()

    def _weights_sha256(self) -> str | None:
        cache = self.options.places.cache
        return fingerprint.weights_sha256([self.weights], cache) if self.weights else None

    def _tokenizer_folder(self, folder: Path) -> Path:
        """Return where the tokenizer's files are: the hub's repositories hold none of their own."""
        if vocabulary.present(folder):
            return folder
        named = settings.text(self.name, self.text, "hf_tokenizer_name", "")
        if not named:
            raise HierevalError(
                f"The configuration of {self.name!r} must name its tokenizer "
                "(text_cfg.hf_tokenizer_name), or its folder hold one."
            )
        other = replace(self.options, revision=None, random_init=0)  # no weights wanted
        model = f"prolip:{self.name}"
        return snapshots.snapshot("prolip", named, other, model=model, local=False).folder


def take(model: Any, name: str, file: Path) -> None:
    """Take every weight of a file as it is; refuse missing, unexpected and resized ones."""
    from safetensors.torch import load_file

    try:
        model.load_state_dict(load_file(file), strict=True, assign=True)
    except RuntimeError as error:
        lines = " ".join(line.strip() for line in str(error).splitlines())
        raise HierevalError(
            f"The weights of {name!r} must be exactly those of their architecture: {lines[:300]}"
        ) from error


def read(name: str, file: Path) -> dict[str, Any]:
    """Return a configuration of ProLIP's; what would build another network is refused."""
    if not file.is_file():
        raise HierevalError(f"The checkpoint {name!r} must hold {CONFIG}, as ProLIPHF pushes it.")
    config = fingerprint.read_json(file)
    if not {"embed_dim", "vision_cfg", "text_cfg"} <= config.keys():
        raise HierevalError(
            f"The configuration of {name!r} must be ProLIP's, with embed_dim, vision_cfg and "
            "text_cfg."
        )
    for part, fields in FIELDS.items():
        given = settings.table(name, config, part) if part else config
        for key, value in given.items():
            if key not in fields:
                raise HierevalError(
                    f"The field {key!r} of {part or CONFIG} of {name!r} must be one of "
                    f"{', '.join(fields)}.{nearest(key, fields)}"
                )
            if fields[key] is not None and value != fields[key]:
                raise HierevalError(
                    f"The {part}.{key} of {name!r} must be {settings.shown(fields[key])}, not "
                    f"{settings.shown(value)}."
                )
        for key, needed in fields.items():
            if needed is True and key not in given and part == "vision_cfg":
                raise HierevalError(f"The {part}.{key} of {name!r} must be true.")
        for key in NUMBERS[part]:
            if settings.whole(name, given, key, 0) == 0:
                raise HierevalError(f"The configuration of {name!r} must state {key}.")
    if config["text_cfg"]["width"] != config["embed_dim"]:
        raise HierevalError(
            f"The text_cfg.width of {name!r} must be its embed_dim ({config['embed_dim']}): the "
            "variances are read off the projected mean."
        )
    return config
