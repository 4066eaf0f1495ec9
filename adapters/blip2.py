"""BLIP-2 retrieval checkpoints (Li et al., 2023) in the space of the contrastive loss."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from hiereval.adapters.devices import to_device
from hiereval.adapters.image_processing import collate, process
from hiereval.adapters.settings import table, whole
from hiereval.adapters.towers import Towers
from hiereval.adapters.transformers_loading import open_checkpoint, token_counts, tokenize
from hiereval.errors import HierevalError
from hiereval.types import LoadOptions, Modality

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

TEXT = ("embeddings.", "qformer.", "text_projection.")


class Blip2:
    """BLIP-2 image-text matching checkpoints (`Salesforce/blip2-itm-...`), contrastive space.

    A picture has as many vectors as the Q-Former has queries, 32, and the model's own similarity is
    that of the best. A space needs one vector: `queries=mean` (the default) is their mean, each of
    length 1, so that similarity is the mean over queries; `queries=0` to `31` is one of them.
    """

    modalities: frozenset[Modality] = frozenset({"text", "image"})

    def __init__(
        self,
        checkpoint: str,
        options: LoadOptions,
        processor: str | None = None,
        subfolder: str | None = None,
        queries: str = "mean",
    ) -> None:
        self.files = open_checkpoint("blip2", checkpoint, options, processor, subfolder)
        config = self.files.config
        self.qformer = table(checkpoint, config, "qformer_config")
        count = whole(checkpoint, config, "num_query_tokens", 32)
        if queries != "mean" and not (queries.isdecimal() and int(queries) < count):
            raise HierevalError(
                f"The queries {queries!r} must be mean or the number of one, 0 to {count - 1}."
            )
        self.query = None if queries == "mean" else int(queries)
        positions = whole(checkpoint, self.qformer, "max_position_embeddings", 512)
        self.context_length = self.files.allowed_tokens(positions)
        self.id = self.files.identify(
            context_length=self.context_length,
            embed_dim=whole(checkpoint, config, "image_text_hidden_size", 256),
            text={"padding": "longest", "mask": True, "image queries": queries},
            tokenizer=lambda: self.tokenizer,
        )

    @cached_property
    def towers(self) -> Towers:
        """Return what texts need, or the whole network: pictures pass through the Q-Former too."""
        load = partial(self.files.load_model, "Blip2ForImageTextRetrieval", ())
        return Towers(load, TEXT, image=None)

    @cached_property
    def tokenizer(self) -> Any:
        """Return the tokenizer, checked against the Q-Former's vocabulary."""
        rows = whole(self.files.name, self.qformer, "vocab_size", 30522)
        return self.files.load_tokenizer(context=self.context_length, embedding=rows)

    def text_lengths(self, texts: Sequence[str]) -> list[int]:
        """Return each text's number of tokens before truncation, specials included."""
        return token_counts(self.tokenizer, texts)

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """Return [n, d] float32 text vectors of the joint space, not normalised."""
        encoded = tokenize(self.tokenizer, texts, "longest", self.context_length)
        device = self.files.options.device
        with self.files.compute():
            ids = to_device(encoded["input_ids"], device)
            network = self.towers.text
            hidden = network.qformer(
                query_embeds=network.embeddings(input_ids=ids),
                query_length=0,
                attention_mask=to_device(encoded["attention_mask"], device),
            ).last_hidden_state  # [n, tokens, width]
            return network.text_projection(hidden[:, 0]).float()

    def preprocess(self, image: Image) -> dict[str, Tensor]:
        """Return one picture's pixels as the model takes them."""
        return process(self.files.image_processor, image)

    def encode_images(self, inputs: Sequence[dict[str, Tensor]]) -> Tensor:
        """Return [n, d] float32 image vectors: one query's, or the mean of all of length 1."""
        import torch

        with self.files.compute():
            batch = collate(inputs, self.files.options.device)
            network = self.towers.image
            seen = network.vision_model(**batch).last_hidden_state  # [n, patches + 1, width]
            hidden = network.qformer(
                query_embeds=network.query_tokens.expand(len(seen), -1, -1),
                encoder_hidden_states=seen,
                encoder_attention_mask=torch.ones(seen.shape[:2], device=seen.device).long(),
            ).last_hidden_state
            vectors = network.vision_projection(hidden).float()  # [n, queries, d]
            if self.query is not None:
                return vectors[:, self.query]
            return torch.nn.functional.normalize(vectors, dim=-1).mean(dim=1)
