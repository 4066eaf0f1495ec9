"""R@k of captioned images, slowly: a query's candidates are sorted one by one."""

from __future__ import annotations

from collections.abc import Sequence


def hit(similarity: Sequence[float], right: set[int], k: int) -> float:
    """Whether one of the right candidates is among the k nearest; wrong ones win ties."""
    order = sorted(range(len(similarity)), key=lambda j: (-similarity[j], j in right))
    return float(bool(right & set(order[:k])))


def recalls(
    similarity: Sequence[Sequence[float]], image_of_caption: Sequence[int], k: int
) -> tuple[float, float]:
    """Image to text and text to image, of [images][captions], as CLIP_benchmark defines them:
    any own caption among an image's k nearest, the own image among a caption's k nearest."""
    images, captions = range(len(similarity)), range(len(image_of_caption))
    own = [{c for c in captions if image_of_caption[c] == i} for i in images]
    to_text = sum(hit(similarity[i], own[i], k) for i in images) / len(images)
    columns = [[similarity[i][c] for i in images] for c in captions]
    to_image = sum(hit(columns[c], {image_of_caption[c]}, k) for c in captions) / len(captions)
    return to_text, to_image
