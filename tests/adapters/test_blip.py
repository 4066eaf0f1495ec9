"""BLIP: the contrastive space of retrieval checkpoints, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import transformers
from PIL import Image

from hiereval.adapters.blip import Blip
from hiereval.errors import HierevalError
from hiereval.geometry import normalise
from hiereval.types import LoadOptions

TEXTS = ["", "a bird", "A blue bird on a branch.", "\U0001f600 \0 x", "bird " * 60]
Folder = Callable[[str], Path]


def _open(folder: Path, **options: object) -> Blip:
    return Blip(str(folder), LoadOptions(**options))  # type: ignore[arg-type]


def test_cosines_are_the_librarys_contrastive_score(
    checkpoint: Folder, pictures: list[Image.Image]
) -> None:
    folder = checkpoint("blip")
    adapter = _open(folder)
    text = normalise(adapter.encode_texts(TEXTS))
    image = normalise(adapter.encode_images([adapter.preprocess(p) for p in pictures]))
    assert text.shape == (5, 24)

    model = transformers.BlipForImageTextRetrieval.from_pretrained(folder).eval()
    tokenizer = transformers.BertTokenizer.from_pretrained(folder)
    pixels = transformers.BlipImageProcessorPil.from_pretrained(folder)(
        pictures, return_tensors="pt"
    )
    for j, sentence in enumerate(TEXTS):
        ids = tokenizer([sentence], truncation=True, max_length=64, return_tensors="pt")
        with torch.no_grad():
            score = model(
                input_ids=ids["input_ids"],
                attention_mask=ids["attention_mask"],
                pixel_values=pixels["pixel_values"],
                use_itm_head=False,
            ).itm_score
        torch.testing.assert_close((image @ text[j])[:, None], score, atol=1e-6, rtol=0)


def test_vectors_depend_neither_on_the_batch_nor_on_its_order(checkpoint: Folder) -> None:
    adapter = _open(checkpoint("blip"))
    together = adapter.encode_texts(TEXTS)
    alone = torch.cat([adapter.encode_texts([text]) for text in TEXTS])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)


def test_the_root_is_start_and_end(checkpoint: Folder) -> None:
    adapter = _open(checkpoint("blip"))
    ids = adapter.tokenizer([""])["input_ids"]
    assert adapter.tokenizer.convert_ids_to_tokens(ids[0]) == ["[CLS]", "[SEP]"]
    assert adapter.text_lengths(["", "bird " * 10_000]) == [2, 10_002]


def test_a_captioning_checkpoint_is_refused(checkpoint: Folder) -> None:
    """Its projections would be random, and nothing else would say so."""
    folder = checkpoint("blip-captioning")
    adapter = _open(folder)
    with pytest.raises(HierevalError) as caught:
        adapter.encode_texts(["a bird"])
    message = str(caught.value)
    assert message.startswith(
        f"The weights of '{folder}' must be exactly those of BlipForImageTextRetrieval; keys: "
    )
    assert "missing (itm_head.bias, itm_head.weight, text_encoder." in message
    assert "unexpected (text_decoder." in message
    assert "\n" not in message


def test_the_generic_class_would_be_random(checkpoint: Folder) -> None:
    """Why AutoModel is not used: on a retrieval checkpoint it makes up its projections."""
    _, info = transformers.BlipModel.from_pretrained(checkpoint("blip"), output_loading_info=True)
    assert {"text_projection.weight", "visual_projection.weight"} <= set(info["missing_keys"])


def test_pictures_of_every_mode_and_shape(
    checkpoint: Folder, odd_pictures: dict[str, Image.Image]
) -> None:
    adapter = _open(checkpoint("blip"))
    vectors = adapter.encode_images([adapter.preprocess(p) for p in odd_pictures.values()])
    assert vectors.shape == (len(odd_pictures), 24)
    assert vectors.isfinite().all()


def test_random_initialisation_is_seeded(checkpoint: Folder) -> None:
    first, again, other = (_open(checkpoint("blip"), random_init=s) for s in (0, 0, 1))
    torch.testing.assert_close(
        first.encode_texts(TEXTS), again.encode_texts(TEXTS), atol=1e-6, rtol=0
    )
    assert not torch.allclose(first.encode_texts(TEXTS), other.encode_texts(TEXTS))
