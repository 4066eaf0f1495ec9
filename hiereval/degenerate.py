"""What makes every metric of a task undefined: encoders that tell nothing apart."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor

from hiereval.types import Metric, Space


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
