"""The sweep over a large pool beside the bare similarity product and beside masking per level.

    python benchmarks/sweep.py [--candidates 52401] [--images 1000] [--dim 512] [--rising]

Prints wall-clock and processor seconds of each, best of several, measured in turn in one process,
their ratios, and the memory that the process held at most before masking (which is measured on a
few images and multiplied). `--rising`: similarity grows with the radius, as it does
where specific captions are nearest, so that the best caption changes more often.
"""

from __future__ import annotations

import argparse
import resource
from collections.abc import Callable

import torch
from clocks import timed
from torch import Tensor

from hiereval.geometry import SphereSpace, normalise
from hiereval.sweep import radius_levels, rank_levels, sweep

LEVELS = 50
HELD = 1 << 26  # similarities of a strip of the bare product
MASKED = 10  # images that are masked per level


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--candidates", type=int, default=52_401)
    parser.add_argument("--images", type=int, default=1_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--rising", action="store_true")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--only-sweep", action="store_true", help="a pool too large for the rest")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    space, images = made(given.candidates, given.images, given.dim, given.rising)
    text, radius = space.text, space.radius
    levels = torch.cat([radius_levels(radius, LEVELS), rank_levels(radius, LEVELS)])

    def swept() -> Tensor:
        path = sweep(space, images, text, radius)
        path.everywhere()
        return path.at(path.count_within(levels))

    runs: dict[str, Callable[[], object]] = {"sweep": swept}
    if not given.only_sweep:
        strips = images.split(max(1, HELD // len(text)))
        runs["product"] = lambda: [space.similarity(strip, text).shape for strip in strips]
    best = {name: (float("inf"), float("inf")) for name in runs}
    for _ in range(given.repeats):
        for name, run in runs.items():
            wall, cpu = timed(run)
            best[name] = min(best[name][0], wall), min(best[name][1], cpu)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{given.candidates:,} candidates x {given.images:,} images, d = {given.dim}, ", end="")
    print(f"{LEVELS} levels each of radius and rank, and all; {given.threads} threads")
    if not given.only_sweep:
        few = images[:MASKED]
        spent = timed(lambda: per_level(space, few, levels[:LEVELS]))
        best["masking"] = (spent[0] * len(images) / len(few), spent[1] * len(images) / len(few))
    for name, (wall, cpu) in best.items():
        print(f"{name:8s} {wall:8.2f} s wall {cpu:8.2f} s processor")
    if not given.only_sweep:
        for over, under in (("sweep", "product"), ("masking", "sweep")):
            wall, cpu = (best[over][i] / best[under][i] for i in (0, 1))
            print(f"{over} / {under}: {wall:.2f} wall, {cpu:.2f} processor")
    print(f"peak memory {peak:,.0f} MiB")


def made(candidates: int, images: int, dim: int, rising: bool) -> tuple[SphereSpace, Tensor]:
    """Return captions whose radius varies and images, seeded."""
    generator = torch.Generator().manual_seed(0)
    root = torch.randn(dim, generator=generator)
    text = torch.randn(candidates, dim, generator=generator)
    image = torch.randn(images, dim, generator=generator)
    if rising:
        common = torch.randn(dim, generator=generator)
        image += 2 * common
        text += torch.rand(candidates, 1, generator=generator) * 2 * common
    text += 0.7 * torch.rand(candidates, 1, generator=generator) * root
    image = normalise(image)
    return SphereSpace(normalise(text), image, normalise(root)), image


def per_level(space: SphereSpace, images: Tensor, levels: Tensor) -> Tensor:
    """Mask the pool at each level for each image, as a direct reading of the protocol does."""
    masks = [space.radius <= level for level in levels]
    inside = [mask.nonzero()[:, 0] for mask in masks]
    best = torch.empty(len(images), len(levels), dtype=torch.int64)
    for i, image in enumerate(images):
        similarity = space.similarity(image[None], space.text)[0]
        for j, mask in enumerate(masks):
            best[i, j] = inside[j][similarity[mask].argmax()]
    return best


if __name__ == "__main__":
    main()
