"""open_clip's causal text transformers, cut to the longest text of a batch.

open_clip pads every text to the context length, 77 for CLIP, where a caption has about ten
tokens. Under a causal mask nothing behind the end token reaches its vector, so the positions
behind the last end token of the batch need not be computed: the vectors are the same to rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hiereval.adapters.devices import to_device
from hiereval.errors import HierevalError

if TYPE_CHECKING:
    from torch import Tensor


def is_causal(transformer: Any) -> bool:
    """Return whether vectors stand at the largest id, the end token, and see nothing behind it."""
    pool = getattr(transformer, "text_pool_type", getattr(transformer, "pool_type", None))
    masked = getattr(transformer, "attn_mask", None) is not None
    return pool == "argmax" and masked and getattr(transformer, "cls_emb", None) is None


def encode(
    network: Any,
    method: str,
    tokenizer: Any,
    texts: Sequence[str],
    device: str,
    **arguments: bool,
) -> Tensor:
    """Return network.method(ids, **arguments) of texts under CLIP's tokenizer, on the device.

    Positions and mask are the network's own, or those of its part `text`. Raises HierevalError if
    a text has lost its end token.

    Four texts in a context of 8: start (8), words, end (9), padding (0). The longest ends at
    position 4, so the network below, whose vector of a text is what stands at its end plus that
    position, is run on 5 columns:

    >>> import torch
    >>> class Network(torch.nn.Module):
    ...     pool_type, cls_emb = "argmax", None
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.positional_embedding = torch.nn.Parameter(torch.arange(8.0)[:, None])
    ...         self.attn_mask = torch.full((8, 8), -torch.inf).triu(1)
    ...     def encode_text(self, ids):
    ...         print("columns:", ids.shape[1], "mask:", list(self.attn_mask.shape))
    ...         x = ids[:, :, None] + self.positional_embedding
    ...         return x[torch.arange(len(ids)), ids.argmax(1)].detach()
    >>> class Tokenizer:
    ...     eot_token_id = 9
    ...     def __call__(self, texts):
    ...         rows = [[8, *range(1, 1 + len(text.split())), 9] for text in texts]
    ...         return torch.tensor([row + [0] * (8 - len(row)) for row in rows])
    >>> texts = ["", "bird", "blue bird", "a blue bird"]
    >>> encode(Network(), "encode_text", Tokenizer(), texts, "cpu")[:, 0].tolist()
    columns: 5 mask: [5, 5]
    [10.0, 11.0, 12.0, 13.0]
    """
    import torch

    ids = tokenizer(list(texts))  # [n, context]
    ends = (ids == tokenizer.eot_token_id).any(dim=1)
    if not bool(ends.all()):
        text = texts[int((~ends).nonzero()[0])]
        raise HierevalError(f"The text {text[:60]!r} lost its end token in tokenisation.")

    class Call(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, ids: Tensor) -> Tensor:
            return getattr(self.network, method)(ids, **arguments)

    call, part = Call(), "network.text" if hasattr(network, "text") else "network"
    transformer: Any = call.get_submodule(part)
    if not is_causal(transformer):
        return call(to_device(ids, device))
    length = int(ids.argmax(dim=1).max()) + 1
    shorter = {
        f"{part}.positional_embedding": transformer.positional_embedding[:length],
        f"{part}.attn_mask": transformer.attn_mask[:length, :length],
    }
    return torch.func.functional_call(call, shorter, (to_device(ids[:, :length], device),))
