from __future__ import annotations

import pytest
import torch

from hiereval.batch_sizes import Batch, batches, fitting, halving

GIB = 1 << 30


@pytest.mark.parametrize(
    ("n", "used", "free", "most", "expected"),
    [
        (32, 3 * GIB, 70 * GIB, 256, 256),  # 24 GiB of 56
        (32, 3 * GIB, 30 * GIB, 256, 256),  # all of 24 GiB
        (32, 3 * GIB, 30 * GIB - 1, 256, 128),  # a byte less
        (32, 3 * GIB, 4 * GIB, 256, 32),
        (32, 3 * GIB, GIB, 256, 8),
        (32, 3 * GIB, 0, 256, 1),  # one is always tried
        (1, 0, 0, 256, 256),  # a model that used nothing
        (32, 3 * GIB, 3 * GIB, 100, 25),
        (2, GIB, 9 * GIB, 3, 3),
        (2, GIB, GIB, 3, 1),
    ],
)
def test_as_many_as_fit(n: int, used: int, free: int, most: int, expected: int) -> None:
    assert fitting(n, used, free, most) == expected


def test_a_little_memory_more_or_less_changes_nothing() -> None:
    sizes = {fitting(32, 2 * GIB, free * GIB // 10, 256) for free in range(110, 200)}
    assert sizes == {128}


def test_a_gpu_is_tried_with_a_part_of_its_batch() -> None:
    auto = batches(None, "cuda:1")
    assert auto == {"texts": Batch(1024, 128), "images": Batch(256, 32)}
    images = auto["images"]
    assert images.next == 32
    images.fit(32, 3 * GIB, 16 * GIB)
    assert (images.next, images.size) == (128, 128)
    images.at_most(64)
    assert images == Batch(64)


def test_memory_that_does_not_hold_the_first_batch() -> None:
    images = batches(None, "cuda")["images"]
    images.at_most(16)
    assert images == Batch(16)


def test_a_cpu_has_one_size_so_that_a_run_can_be_repeated() -> None:
    assert batches(None, "cpu") == {"texts": Batch(64), "images": Batch(16)}


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_size_that_is_given_stands(device: str) -> None:
    assert batches(7, device) == {"texts": Batch(28), "images": Batch(7)}


def test_out_of_memory_halves_the_batch() -> None:
    sizes = []

    def encode(rows: list[int]) -> torch.Tensor:
        sizes.append(len(rows))
        if len(rows) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return torch.tensor(rows)

    assert halving(encode, list(range(10))).tolist() == list(range(10))
    assert sizes == [10, 5, 2, 3, 5, 2, 3]
    with pytest.raises(torch.OutOfMemoryError):
        halving(lambda rows: encode(rows * 4), [1])
