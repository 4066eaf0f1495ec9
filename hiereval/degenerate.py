"""What makes every metric of a task undefined: encoders that tell nothing apart."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from torch import Tensor

from hiereval.types import Dataset, Embeddings, Metric, Space


def constant(points: Tensor) -> bool:
    """Whether several points [n, ...] are all exactly the same one."""
    return len(points) > 1 and bool((points == points[:1]).all())


def radii_trouble(radius: Tensor) -> str | None:
    """Return why these radii [n] order nothing, or None."""
    bad = int((~radius.isfinite()).sum())
    if bad:
        return f"{bad:,} of {radius.numel():,} radii are not finite"
    if radius.numel() == 1:
        return "there is one caption only"
    if constant(radius.reshape(-1)):
        return "all radii are equal, as a constant encoder's are"
    return None


def points_trouble(space: Space, *, images: bool) -> str | None:
    """Return why these points tell no texts (or images) apart, or None."""
    if constant(space.text):
        return "all texts have the same vector, as a constant encoder's do"
    if images and space.image is not None and constant(space.image):
        return "all images have the same vector, as a constant encoder's do"
    return None


def undefined(metrics: Iterable[Metric], reason: str | None) -> dict[str, str]:
    """Return the reason for each of the metrics; nothing where there is no reason."""
    return {} if reason is None else {metric.name: reason for metric in metrics}


def not_finite(embeddings: Embeddings, dataset: Dataset) -> str | None:
    """Return which embeddings hold NaN or infinity (the first is named), or None."""
    parts: list[tuple[str, Tensor | None, Callable[[int], str]]] = [
        ("text", embeddings.text, lambda i: dataset.texts[i]),
        ("image", embeddings.image, lambda i: dataset.images[i].name),
    ]
    for anchor, vector in embeddings.anchors.items():
        parts.append(("anchor text", vector[None], lambda _, anchor=anchor: anchor))  # type: ignore[misc]
    for what, vectors, name in parts:
        if vectors is None:
            continue
        bad = (~vectors.isfinite().all(dim=1)).nonzero()[:, 0].tolist()
        if bad:
            return (
                f"the embedding of {what} {name(bad[0])!r} is not finite "
                f"({len(bad):,} of {len(vectors):,} are not)"
            )
    return None
