"""Inputs on the device: the same values; on a GPU, copied when it gets to them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor

from hiereval.adapters.devices import stacked, to_device
from hiereval.adapters.hf_clip import HFClip
from hiereval.types import LoadOptions

ROWS = [torch.arange(12).reshape(3, 4) + 100 * i for i in range(5)]
WAYS: list[Callable[[str], Tensor]] = [
    lambda device: stacked(ROWS, device),
    lambda device: to_device(torch.stack(ROWS)[:, :, 1:3], device),  # not in one piece
]


@pytest.mark.parametrize("way", WAYS)
def test_values_are_those_that_were_given(way: Callable[[str], Tensor]) -> None:
    whole = torch.stack(ROWS)
    got = way("cpu")
    assert torch.equal(got, whole if got.shape == whole.shape else whole[:, :, 1:3])
    assert got.dtype == torch.int64


@pytest.mark.gpu
@pytest.mark.parametrize("way", WAYS)
def test_a_gpu_gets_the_same(way: Callable[[str], Tensor]) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    assert torch.equal(way("cuda").cpu(), way("cpu"))


@pytest.mark.gpu
def test_nobody_waits_for_a_gpu_that_encodes_images(checkpoint: Callable[[str], Path]) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    adapter = HFClip(str(checkpoint("clip")), LoadOptions(device="cuda"))
    inputs = [adapter.preprocess(Image.new("RGB", (40, 30), (9 * i, 0, 0))) for i in range(4)]
    expected = adapter.encode_images(inputs).cpu()
    torch.cuda.set_sync_debug_mode("error")
    try:
        got = adapter.encode_images(inputs)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert torch.equal(got.cpu(), expected)
