"""What transformers' own forward() gives, one text and picture at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image


def one_by_one(
    model: Any, folder: Path, texts: Sequence[str], pictures: Sequence[Image.Image], length: int
) -> Iterator[tuple[int, int, Any]]:
    """Yield each text's number, its picture's, and the output of both; texts are cut at `length`.

    The tokenizer and the image processor are the checkpoint's, as its documentation shows.
    """
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    processor = transformers.AutoImageProcessor.from_pretrained(folder, backend="pil")
    for j, sentence in enumerate(texts):
        i = j % len(pictures)
        ids = tokenizer(sentence, truncation=True, max_length=length)
        with torch.no_grad():
            output = model(
                input_ids=torch.tensor([ids["input_ids"]]),
                attention_mask=torch.tensor([ids["attention_mask"]]),
                pixel_values=processor(pictures[i], return_tensors="pt")["pixel_values"],
            )
        yield j, i, output
