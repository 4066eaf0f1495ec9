"""Models that sentence-transformers (Reimers & Gurevych, EMNLP 2019) runs: texts, and pictures.

For embedders whose prompts, chat template and modules only that library knows; the plain families
have adapters of their own. Texts and pictures are encoded apart, pictures resized by Pillow.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hiereval import fingerprint, snapshots
from hiereval.adapters import first_use, settings, text_settings
from hiereval.adapters.image_processing import middle, to_rgb
from hiereval.adapters.precision import DTYPES, inference
from hiereval.adapters.transformers_weights import first_line, no_missing, quiet
from hiereval.distribution import install
from hiereval.errors import HierevalError
from hiereval.types import LoadOptions, Modality, ModelId

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

OURS = "sentence_transformers."  # what a module's type begins with, else it is somebody's code
SIGLIP = ("siglip", "siglip2")  # padded to the longest there, which moves every vector
WITHOUT_MODULES = ("clip", "metaclip_2", "align", "altclip", "chinese_clip")
CODE = ("*.py",)
FILES = (*snapshots.CONFIGURATION, "*.jinja")
WEIGHTS = (("*.safetensors",),)


class SentenceEncoder:
    """Text and image-text embedders in sentence-transformers' format, run by that library.

    `prompt` and `image_prompt` choose one of its prompts by name, or give the words; `truncate_dim`
    keeps the first dimensions alone.
    """

    def __init__(
        self,
        checkpoint: str,
        options: LoadOptions,
        prompt: str | None = None,
        image_prompt: str | None = None,
        truncate_dim: str | None = None,
    ) -> None:
        self.checkpoint, self.options = checkpoint, options
        _check_options(checkpoint, options)
        code = CODE if options.trust_remote_code else ()
        found = snapshots.snapshot(
            "st", checkpoint, options, files=(*FILES, *code), weights=WEIGHTS
        )
        self.folder = found.folder
        modules = _modules(checkpoint, self.folder)
        inner = settings.inside(checkpoint, self.folder, modules[0].get("path"))
        settings.refuse_lora(checkpoint, inner)
        config = _config(checkpoint, inner)
        _check_kind(checkpoint, config, stated=(self.folder / "modules.json").is_file())
        remote = _runs_remote_code(checkpoint, modules, inner, config)
        if remote and not options.trust_remote_code:
            raise HierevalError(
                f"The model {checkpoint!r} must be allowed to run its repository's Python code as "
                f"you ({remote}): --trust-remote-code. The record and the board say so."
            )
        self.modalities: frozenset[Modality] = frozenset(
            {"text", "image"} if _sees(inner) else {"text"}
        )
        self.prompts = {
            "text": text_settings.prompt_words(checkpoint, self.folder, prompt),
            "image": text_settings.prompt_words(checkpoint, self.folder, image_prompt)
            if "image" in self.modalities
            else "",
        }
        self.truncate_dim = _dimensions(truncate_dim)
        parts = [settings.inside(checkpoint, self.folder, module.get("path")) for module in modules]
        self.id = first_use.known(
            self._identity(found.revision, [self.folder, *parts], bool(remote)),
            options.places.cache,
        )

    def _identity(self, revision: str | None, folders: list[Path], remote: bool) -> ModelId:
        options, memory = self.options, self.options.places.cache
        weights = _files(folders, ("*.safetensors",))
        if not weights:
            raise HierevalError(f"The checkpoint {self.checkpoint!r} must hold safetensors.")
        stated = {
            path.relative_to(self.folder).as_posix(): fingerprint.file_sha256(path, memory)
            for path in _files(folders, (*FILES, *(CODE if remote else ())))
        }
        libraries = fingerprint.versions("sentence-transformers", "transformers", "tokenizers")
        pixels = {"convert": "RGB", "backend": "pil", **fingerprint.versions("pillow")}
        hashed = {
            path.relative_to(self.folder).as_posix(): fingerprint.file_sha256(path, memory)
            for path in weights
        }
        return ModelId(
            adapter="st",
            name=snapshots.label(self.checkpoint),
            checkpoint=self.checkpoint,
            revision=revision,
            weights_sha256=fingerprint.json_sha256(hashed),
            config_sha256=fingerprint.json_sha256({"files": stated, "cut": self.truncate_dim}),
            preprocess_fingerprint=fingerprint.json_sha256({**pixels, **libraries})
            if "image" in self.modalities
            else None,
            tokenizer_fingerprint=fingerprint.json_sha256({"prompts": self.prompts, **libraries}),
            dtype=DTYPES[options.precision],
            embed_dim=self.truncate_dim,
            n_params=sum(map(fingerprint.safetensors_parameters, weights)),
            trust_remote_code=remote,
        )

    @cached_property
    def model(self) -> Any:
        """Return the model as sentence-transformers loads it, in float32."""
        import torch

        try:
            from sentence_transformers import SentenceTransformer
        except ImportError as error:
            raise HierevalError(
                f"sentence-transformers must be installed to run it: {install('text')}."
            ) from error
        seeing = "image" in self.modalities
        try:
            with quiet(), no_missing(self.id.checkpoint):
                model = SentenceTransformer(
                    str(self.folder),
                    device=self.options.device,
                    local_files_only=True,
                    trust_remote_code=self.id.trust_remote_code,
                    model_kwargs={"dtype": torch.float32, "use_safetensors": True},
                    processor_kwargs={"backend": "pil"} if seeing else None,
                    truncate_dim=self.truncate_dim,
                )
        except HierevalError:
            raise
        except Exception as error:  # every module fails in its own way
            raise HierevalError(
                f"The model {self.id.checkpoint!r} must load in sentence-transformers: "
                f"{first_line(error)}"
            ) from error
        if seeing != model.supports("image"):
            raise HierevalError(
                f"The model {self.id.checkpoint!r} must embed what its files say "
                f"({', '.join(sorted(self.modalities))}); sentence-transformers gives it "
                f"{', '.join(map(str, model.modalities))}."
            )
        return model.float().eval().requires_grad_(False)

    def text_lengths(self, texts: Sequence[str]) -> list[int]:
        """Return each text's number of tokens before truncation, without prompt and template."""
        tokenizer = self.model.tokenizer
        return [len(ids) for ids in tokenizer(list(texts), verbose=False)["input_ids"]]

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """Return [n, d] float32 text vectors, as the model's last module gives them."""
        self._try_once()
        return self._given("text", texts)

    def preprocess(self, image: Image) -> Image:
        """Return the picture in RGB; the model's own processor does the rest."""
        return middle(to_rgb(image))

    def encode_images(self, inputs: Sequence[Image]) -> Tensor:
        """Return [n, d] float32 image vectors, as the model's last module gives them."""
        self._try_once()
        return self._given("image", inputs)

    def _try_once(self) -> None:
        if self.id.conformance is not None:
            return
        self.model  # noqa: B018  # what fails to load says so itself
        self._try_root()
        bare = first_use.Bare(self, self.id.dtype, self._given)
        self.id = first_use.tried(self.id, bare, "float32", self.options.places.cache)

    def _try_root(self) -> None:
        """Refuse a model that has no vector of its root's text, and say what helps."""
        root = self.id.root_text
        try:
            vector = self._given("text", [root])
            reason = "" if bool(vector.isfinite().all() and vector.any()) else "it is not finite"
        except Exception as error:  # a template or a tokenizer that takes no empty text
            reason = first_line(error)
        if reason:
            raise HierevalError(
                f"The model {self.id.name!r} must have a vector of the root's text {root!r}: "
                f"{reason}. State another: --root-text 'a photo', or --model-args root_text=…"
            )

    def _given(self, modality: str, values: Sequence[Any]) -> Tensor:
        with inference(self.options.precision, self.options.device):
            vectors: Tensor = self.model.encode(
                list(values),
                batch_size=len(values),
                prompt=self.prompts[modality],
                convert_to_tensor=True,
                normalize_embeddings=False,
                show_progress_bar=False,
            )
        return vectors.float()


def _check_options(name: str, options: LoadOptions) -> None:
    if options.random_init is not None:
        raise HierevalError(
            f"The random initialisation of 'st:{name}' must be left out: sentence-transformers "
            "loads trained weights alone. 'text:' and the families' adapters have one."
        )


def _dimensions(given: str | None) -> int | None:
    if given is not None and (not given.isdecimal() or int(given) < 1):
        raise HierevalError(f"The truncate_dim {given!r} must be a whole number of at least 1.")
    return None if given is None else int(given)


def _modules(name: str, folder: Path) -> list[dict[str, Any]]:
    """Return the modules that a checkpoint states; without a list, its network alone."""
    file = folder / "modules.json"
    if not file.is_file():
        return [{"path": "", "type": f"{OURS}Transformer"}]
    try:
        modules = json.loads(file.read_text("utf-8"))
        if modules and all(isinstance(module["type"], str) for module in modules):
            return list(modules)
    except (ValueError, TypeError, KeyError, RecursionError):
        pass
    raise HierevalError(f"The modules.json of {name!r} must be a list of objects with a type.")


def _config(name: str, folder: Path) -> Mapping[str, Any]:
    file = folder / "config.json"
    if not file.is_file():
        raise HierevalError(f"The network of {name!r} must have its config.json.")
    settings.read_config(name, file)  # refuses what would depend on what is installed
    return fingerprint.read_json(file)


def _check_kind(name: str, config: Mapping[str, Any], *, stated: bool) -> None:
    kind = str(config.get("model_type"))
    if kind in SIGLIP:
        raise HierevalError(
            f"The model {name!r} must be run by 'siglip:{name}': sentence-transformers pads it to "
            "the longest text of a batch, which moves every vector."
        )
    if not stated and kind not in WITHOUT_MODULES:
        raise HierevalError(
            f"The checkpoint {name!r} must state its modules (modules.json): a pooling would be "
            f"guessed. 'text:{name} --model-args pooling=…' names one."
        )


def _runs_remote_code(
    name: str, modules: list[dict[str, Any]], inner: Path, config: Mapping[str, Any]
) -> str:
    """Return what of somebody's Python code a model needs, "" for none."""
    foreign = [module["type"] for module in modules if not module["type"].startswith(OURS)]
    mapped = settings.table(name, config, "auto_map")
    if mapped:
        from transformers import CONFIG_MAPPING

        if str(config.get("model_type")) not in CONFIG_MAPPING:
            foreign += [str(target) for target in mapped.values()]
    elsewhere = [target for target in foreign if "--" in target]
    if elsewhere:
        raise HierevalError(
            f"The code of {name!r} must lie in its own repository; {elsewhere[0]!r} is in another, "
            "of which no commit is known."
        )
    return ", ".join(foreign[:3])


def _sees(inner: Path) -> bool:
    """Whether a network's files hold an image processor."""
    if (inner / "preprocessor_config.json").is_file():
        stated = fingerprint.read_json(inner / "preprocessor_config.json")
        return "feature_size" not in stated  # else it is of sounds
    file = inner / "processor_config.json"
    return file.is_file() and "image_processor" in fingerprint.read_json(file)


def _files(folders: Sequence[Path], patterns: Sequence[str]) -> list[Path]:
    """Return the files of these folders, each once, in order."""
    found = {path for folder in folders for pattern in patterns for path in folder.glob(pattern)}
    return sorted(path for path in found if path.is_file())
