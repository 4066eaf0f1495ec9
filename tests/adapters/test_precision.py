"""What a precision sets, and that it is undone."""

from __future__ import annotations

import pytest
import torch

from hiereval.adapters.precision import DTYPES, _tensor_float_32, inference
from hiereval.types import Precision


@pytest.mark.parametrize("precision", DTYPES)
def test_autocast_is_for_half_precision_alone(precision: Precision) -> None:
    a = torch.ones(4, 4)
    with inference(precision, "cpu"):
        kind = (a @ a).dtype
        assert torch.is_inference_mode_enabled()
    assert kind == {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision, torch.float32)
    assert (a @ a).dtype == torch.float32
    assert not torch.is_inference_mode_enabled()


@pytest.mark.parametrize("allowed", [True, False])
def test_tf32_is_set_for_matrices_and_convolutions_and_restored(allowed: bool) -> None:
    """CUDA convolutions use TF32 unless told not to: fp32 must tell them."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    with _tensor_float_32(allowed):
        assert torch.backends.cuda.matmul.allow_tf32 is allowed
        assert torch.backends.cudnn.allow_tf32 is allowed
    assert (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32) == before


@pytest.mark.gpu
def test_on_a_gpu_fp32_is_nearer_to_the_truth_than_tf32() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    a = torch.randn(512, 512, device="cuda")
    errors = {}
    for precision in ("fp32", "tf32"):
        with inference(precision, "cuda"):
            errors[precision] = ((a @ a).double() - a.double() @ a.double()).abs().max().item()
    assert errors["fp32"] < errors["tf32"] / 10
