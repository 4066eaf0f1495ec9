"""Encode tars of images with datatrove, here or on a SLURM partition: each tar becomes a shard.

python encode_with_datatrove.py siglip 'shards-{000000..000999}.tar' /shared/vectors 64
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from datatrove.executor import LocalPipelineExecutor, SlurmPipelineExecutor
from datatrove.pipeline.base import PipelineStep


class Encode(PipelineStep):
    """A task's share of the parts."""

    def __init__(self, model: str, images: str, out: str, device: str) -> None:
        super().__init__()
        self.given = (model, images, Path(out), device)

    def run(self, data: Any, rank: int = 0, world_size: int = 1) -> Any:
        from hiereval.precomputing import Job

        job = Job.of(*self.given[:3], device=self.given[3])
        self.stat_update(
            "images", value=job.encode(range(rank, len(job.images), world_size)).images
        )
        return data


if __name__ == "__main__":
    *given, tasks, where = [*sys.argv[1:], "local"][:5]
    log = {"tasks": int(tasks), "logging_dir": f"{given[2]}-log"}
    if where == "local":
        LocalPipelineExecutor([Encode(*given, "cpu")], workers=2, **log).run()
    else:  # the name of a partition
        gpu = {"sbatch_args": {"gpus-per-task": 1}, "cpus_per_task": 16, "time": "24:00:00"}
        SlurmPipelineExecutor([Encode(*given, "cuda")], partition=where, **gpu, **log).run()
