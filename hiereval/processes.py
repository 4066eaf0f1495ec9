"""The processes of one launch: torchrun, SLURM's srun, Open MPI's mpirun; what each is to encode.

They meet in the store alone. Each encodes its share and then, a batch at a time, what is still
missing while the others store nothing: so a process that is slow, late or dead is made up for, and
none waits for a message, a lock or a clock.
"""

from __future__ import annotations

import hashlib
import os
import re
import signal
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from types import FrameType

from hiereval.errors import HierevalError

# launcher -> the variables of rank, number of processes, rank and number on this machine
LAUNCHERS = {
    "torchrun": ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"),
    "mpirun": (
        "OMPI_COMM_WORLD_RANK",
        "OMPI_COMM_WORLD_SIZE",
        "OMPI_COMM_WORLD_LOCAL_RANK",
        "OMPI_COMM_WORLD_LOCAL_SIZE",
    ),
    # those of a step: a batch script outside srun is one process, whatever SLURM_NTASKS says
    "srun": ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID", ""),
}


def wait_asleep(variables: MutableMapping[str, str] = os.environ) -> None:
    """Let torch's threads sleep while they wait for one another, unless the user says otherwise.

    Those that spin take the cores of a busy machine from each other. Read when torch is loaded.
    """
    variables.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@dataclass(frozen=True)
class Processes:
    """This process among those that were started together; alone where no launcher was used."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1  # where the launcher says it; srun binds each process to CPUs of its own
    apart: bool = False  # whether they share no cache: each encodes its share and ends

    @staticmethod
    def launched(variables: Mapping[str, str] = os.environ) -> Processes:
        """Return what the launcher says; raises HierevalError where it says nonsense."""
        for launcher, names in LAUNCHERS.items():
            if names[0] not in variables or names[1] not in variables:
                continue
            rank, size, local_rank, local_size = (
                _number(launcher, name, variables.get(name, default))
                for name, default in zip(names, ("0", "1", "0", "1"), strict=True)
            )
            if rank >= size:
                raise HierevalError(
                    f"The {names[0]} {rank} of {launcher} must be below its {names[1]}, {size}."
                )
            return Processes(rank, size, local_rank, max(1, local_size))
        return Processes()

    @staticmethod
    def part(given: str) -> Processes:
        """Return the part of `--share R/N`, R from 1 on: of machines that share no disk."""
        found = re.fullmatch(r"(\d{1,9})/(\d{1,9})", given)
        if not found or not 1 <= int(found[1]) <= int(found[2]):
            raise HierevalError(
                f"The share {given!r} must be R/N with R from 1 to N, for example 2/8."
            )
        return Processes(int(found[1]) - 1, int(found[2]), apart=True)

    @property
    def first(self) -> bool:
        """Whether this process scores, writes records and speaks."""
        return self.rank == 0 and not self.apart

    @property
    def cpus(self) -> int:
        """How many CPUs are this process's."""
        return max(1, len(os.sched_getaffinity(0)) // self.local_size)

    def share(self, keys: Sequence[bytes]) -> list[bytes]:
        """Return this process's part of distinct keys, in their order.

        The parts of all processes are disjoint, complete, of equal size (but for one key) and
        drawn by hash, so that long texts and large images are spread evenly.

        >>> [Processes(rank, 3).share([b"a", b"b", b"c", b"d"]) for rank in range(3)]
        [[b'a', b'd'], [b'c'], [b'b']]
        """
        if self.size == 1:
            return list(keys)
        drawn = sorted(range(len(keys)), key=lambda i: hashlib.sha256(keys[i]).digest())
        return [keys[i] for i in sorted(drawn[self.rank :: self.size])]

    def others(self, keys: Sequence[bytes], n: int) -> list[bytes]:
        """Return at most n of the keys to encode for others, each process from another place.

        Towards the end fewer than n, so that processes that see the same take no key twice.
        """
        order = sorted(keys, key=lambda key: hashlib.sha256(key).digest())
        n = min(n, max(-(-len(keys) // self.size), n // 8, 1))
        start = min(len(keys) * self.rank // self.size, max(0, len(keys) - n))
        return order[start : start + n]

    def device(self, device: str) -> str:
        """Return this process's own GPU for "cuda"; a launcher may let it see that one alone."""
        if device != "cuda" or self.size == 1:
            return device
        import torch

        return f"cuda:{self.local_rank % max(1, torch.cuda.device_count())}"


def end_cleanly() -> None:
    """Let SIGTERM, by which launchers end processes, store what was encoded as Ctrl-C does.

    What comes after the first signal is ignored: a launcher sends several, and kills in the end.
    """

    def stop(number: int, frame: FrameType | None) -> None:
        for one in (signal.SIGINT, signal.SIGTERM):
            signal.signal(one, signal.SIG_IGN)
        raise KeyboardInterrupt

    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, stop)


def _number(launcher: str, name: str, given: str) -> int:
    if not given.isdecimal():
        raise HierevalError(f"The {name} {given!r} of {launcher} must be a whole number.")
    return int(given)
