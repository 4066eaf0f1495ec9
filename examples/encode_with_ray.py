"""Encode tars of images with Ray Data: each actor holds a model, each tar becomes a shard.

python examples/encode_with_ray.py siglip 'shards-{000000..000999}.tar' /shared/vectors --actors 64
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


class Encoder:
    """A model; called with the number of a part, it writes that part's shard."""

    def __init__(self, model: str, images: str, out: str, device: str) -> None:
        from hiereval.precomputing import Job

        self.job = Job.of(model, images, Path(out), device=device)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        done = self.job.encode([row["id"]])
        return {"images": done.images, "there": done.there}


if __name__ == "__main__":
    import ray.data

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("given", nargs=3, metavar="MODEL, TARS, FOLDER")
    parser.add_argument("--actors", type=int, default=1)
    parser.add_argument("--gpus", type=float, default=0, help="of each actor")
    asked = parser.parse_args()
    encoder = Encoder(*asked.given, "cpu")
    rows = ray.data.range(len(encoder.job.images), override_num_blocks=len(encoder.job.images))
    device = "cuda" if asked.gpus else "cpu"
    how = {"concurrency": asked.actors, "num_gpus": asked.gpus}
    done = rows.map(Encoder, fn_constructor_args=(*asked.given, device), **how).take_all()
    print(f"{sum(row['images'] for row in done):,} images; index: {encoder.job.encode([]).indexed}")
