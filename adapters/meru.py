"""Hyperbolic CLIPs: MERU (ICML 2023), HyCoCLIP (ICLR 2025), UNCHA (CVPR), PHyCLIP (ICLR 2026).

Vectors are the space components of points on the hyperboloid of curvature -c, reached from the
projected features by the exponential map at the vertex; c and both scales are learned. PHyCLIP
cuts the features into equal parts, each on a hyperboloid with a c and scales of its own. The
authors' CLIP baselines come in the same files and are a sphere.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from hiereval import fingerprint
from hiereval.adapters import causal_text, meru_files, vocabulary
from hiereval.adapters.devices import stacked
from hiereval.adapters.image_processing import middle, to_rgb
from hiereval.adapters.precision import DTYPES, inference
from hiereval.adapters.towers import Towers
from hiereval.types import Curvature, Geometry, LoadOptions, Modality, ModelId

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

CAP = math.asinh(2**15)  # of sinh's argument, as in training
TINY = 1e-8  # a feature shorter than this maps to itself


class Meru:
    """All of them and their CLIP baselines: a `.pth` file, org/name/file.pth or its address."""

    modalities: frozenset[Modality] = frozenset({"text", "image"})

    def __init__(self, checkpoint: str, options: LoadOptions) -> None:
        self.options = options
        self.files = files = meru_files.find(checkpoint, options)
        self.shape = files.shape
        self.id = ModelId(
            adapter="meru",
            name=Path(checkpoint).stem,
            checkpoint=checkpoint,
            revision=files.revision,
            weights_sha256=fingerprint.weights_sha256([files.file], options.places.cache)
            if files.file
            else None,
            config_sha256=fingerprint.json_sha256(self.shape.__dict__),
            preprocess_fingerprint=fingerprint.json_sha256(
                {"convert": "RGB", "resize": "bicubic shortest", "size": self.shape.image_size}
            ),
            tokenizer_fingerprint=fingerprint.json_sha256(
                {"tokenizer": "CLIP BPE", "context_length": self.shape.context_length}
            ),
            dtype=DTYPES[options.precision],
            geometry=geometry_of(self.shape.curvature),
            curvature=self.shape.curvature,
            random_init=options.random_init,
            embed_dim=self.shape.embed_dim,
            n_params=files.n_params,
            context_length=self.shape.context_length,
        )

    @cached_property
    def towers(self) -> Towers:
        """Return both encoders; each loads its weights when it first encodes."""
        load = partial(meru_files.load, self.files, self.options)
        return Towers(load, meru_files.TEXT, meru_files.IMAGE)

    @cached_property
    def tokenizer(self) -> Any:
        """Return CLIP's tokenizer, which all of them use, checked to be the model's."""
        from open_clip.tokenizer import SimpleTokenizer

        tokenizer = SimpleTokenizer(context_length=self.shape.context_length)
        vocabulary.check(
            self.files.name,
            lambda texts: tokenizer(texts).tolist(),
            size=len(tokenizer.encoder),
            embedding=self.shape.vocabulary,
            context=self.shape.context_length,
        )
        return tokenizer

    @cached_property
    def transform(self) -> Any:
        """Return the authors' preprocessing for evaluation: shorter side, centre, [0, 1]."""
        from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Resize, ToTensor

        size = self.shape.image_size
        return Compose([Resize(size, InterpolationMode.BICUBIC), CenterCrop(size), ToTensor()])

    def text_lengths(self, texts: Sequence[str]) -> list[int]:
        """Return each text's number of tokens before truncation, specials included."""
        return [len(self.tokenizer.encode(text)) + 2 for text in texts]

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """Return [n, d] float32 text vectors: points of the hyperboloid, or unnormalised."""
        device = self.options.device
        with inference(self.options.precision, device):
            tower = self.towers.text
            features = causal_text.encode(tower.textual, "forward", self.tokenizer, texts, device)
            return self._lift(features.float(), tower, "textual")

    def preprocess(self, image: Image) -> Tensor:
        """Return one picture's pixels [3, h, w] in [0, 1]; the network normalises them."""
        return self.transform(middle(to_rgb(image)))

    def encode_images(self, inputs: Sequence[Tensor]) -> Tensor:
        """Return [n, d] float32 image vectors: points of the hyperboloid, or unnormalised."""
        with inference(self.options.precision, self.options.device):
            pixels = stacked(inputs, self.options.device)
            tower = self.towers.image
            pixels = (pixels - tower.pixel_mean) / tower.pixel_std
            features = tower.visual_proj(tower.visual(pixels))
            return self._lift(features.float(), tower, "visual")

    def _lift(self, features: Tensor, tower: Any, side: Literal["visual", "textual"]) -> Tensor:
        import torch

        curvature = self.shape.curvature
        if curvature is None:
            return features
        if not isinstance(curvature, tuple):
            alpha = getattr(tower, f"{side}_alpha")
            return exponential_map(features * alpha.exp(), curvature)
        alphas = torch.stack([*getattr(tower, f"{side}_concept_alphas")])
        factors = features.unflatten(-1, (len(curvature), -1))  # [n, k, d / k]
        curvatures = features.new_tensor(curvature)[:, None]
        return exponential_map(factors * alphas.exp()[:, None], curvatures).flatten(-2)


def geometry_of(curvature: Curvature | None) -> Geometry:
    """Return where points of this curvature live."""
    if curvature is None:
        return "sphere"
    return "lorentz-product" if isinstance(curvature, tuple) else "lorentz"


def exponential_map(velocity: Tensor, curvature: float | Tensor) -> Tensor:
    """Return the space components [*n, d] of the points that geodesics from the vertex reach.

    sinh(sqrt(c) |v|) v / (sqrt(c) |v|), the argument of sinh capped at asinh(2^15).
    """
    length = curvature**0.5 * velocity.norm(dim=-1, keepdim=True)
    return length.clamp(TINY, CAP).sinh() * velocity / length.clamp_min(TINY)
