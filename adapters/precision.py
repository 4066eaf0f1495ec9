"""The arithmetic of a run: exact float32, TF32, or half precision under autocast."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from hiereval import gradients
from hiereval.types import Precision

DTYPES: dict[Precision, str] = {
    "fp32": "float32",
    "tf32": "tfloat32",
    "bf16": "bfloat16",
    "fp16": "float16",
}


@contextmanager
def inference(precision: Precision, device: str) -> Iterator[None]:
    """Run a model in this precision, without gradients but in fine-tuning; weights stay float32.

    fp32 means it: TF32, which CUDA convolutions use unasked, is on for `tf32` alone. bf16 and
    fp16 are autocast, so normalisation and softmax stay float32. Vectors must be made float32
    by the caller.
    """
    import torch

    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(not gradients.wanted()))
        if precision in ("bf16", "fp16"):
            kind = torch.device(device).type
            stack.enter_context(torch.autocast(kind, getattr(torch, DTYPES[precision])))
        if torch.device(device).type == "cuda":
            stack.enter_context(_tensor_float_32(precision == "tf32"))
        yield


@contextmanager
def _tensor_float_32(allowed: bool) -> Iterator[None]:
    import torch

    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = allowed
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before
