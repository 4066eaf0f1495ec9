"""Linear layers by oneDNN: the same values, and torch's own function back afterwards."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
import torch
from torch import Tensor
from torch.backends import mha
from torch.nn import functional

from hiereval import inflight, linear, processor
from hiereval.batch_sizes import Batch

needs_onednn = pytest.mark.skipif(
    not torch.backends.mkldnn.is_available() or not hasattr(torch.ops.mkldnn, "_linear_pointwise"),
    reason="torch is built without oneDNN",
)
OF_TORCH, FUSES = functional.linear, mha.get_fastpath_enabled


@pytest.fixture
def faster(monkeypatch: pytest.MonkeyPatch) -> None:
    """A processor on which oneDNN is the faster one."""
    monkeypatch.setattr(linear, "is_faster", lambda: True)


@pytest.fixture
def handed_over(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """The shapes of the layers that were handed to oneDNN."""
    shapes: list[tuple[int, ...]] = []
    whole = linear.linear

    def counted(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        shapes.append((*x.shape, len(weight)))
        return whole(x, weight, bias)

    monkeypatch.setattr(linear, "linear", counted)
    return shapes


def x_of(kind: str) -> Tensor:
    x = torch.randn(24, 20, 256)
    return {
        "whole": x,
        "every other": x[:, ::2],
        "first of each": x[:, 0].repeat(8, 1),
        "turned": x.transpose(0, 1),
        "features apart": torch.randn(24, 256, 20).transpose(1, 2),
        "expanded": x[:1].expand(24, 20, 256),
        "none": x[:0],
    }[kind]


@needs_onednn
@pytest.mark.parametrize(
    "kind",
    ["whole", "every other", "first of each", "turned", "features apart", "expanded", "none"],
)
@pytest.mark.parametrize("weights", ["whole", "turned", "rows of more", "columns of more"])
@pytest.mark.parametrize("bias", ["none", "whole", "every other"])
def test_values_are_those_of_float64_whatever_lies_apart_in_memory(
    kind: str, weights: str, bias: str
) -> None:
    torch.manual_seed(0)
    x = x_of(kind)
    weight = {
        "whole": torch.randn(192, 256),
        "turned": torch.randn(256, 192).T,
        "rows of more": torch.randn(384, 256)[::2],
        "columns of more": torch.randn(192, 300)[:, :256],
    }[weights]
    added = {"none": None, "whole": torch.randn(192), "every other": torch.randn(384)[::2]}[bias]
    with torch.inference_mode():
        found = linear.linear(x, weight, added)
    exact = x.double() @ weight.double().T + (0 if added is None else added.double())
    assert found.shape == exact.shape
    assert found.dtype == torch.float32
    # 256 products of size 1 in float32; torch's own layers are as far away
    torch.testing.assert_close(found, exact.float(), rtol=0, atol=2e-4)


@needs_onednn
def test_what_is_handed_over_is_large_and_without_gradients(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object) -> Tensor:
        raise AssertionError

    x, weight = torch.randn(64, 256), torch.nn.Parameter(torch.randn(256, 256))
    with torch.inference_mode():
        by_onednn = linear.linear(x, weight)
    monkeypatch.setattr(torch.ops.mkldnn, "_linear_pointwise", refuse)
    with torch.no_grad(), pytest.raises(AssertionError):
        linear.linear(x, weight)
    loss = linear.linear(x, weight).sum()
    loss.backward()
    assert weight.grad is not None
    with torch.inference_mode():
        assert linear.linear(x[:8], weight).shape == (8, 256)  # small
        assert linear.linear(x.double(), weight.double()).dtype == torch.float64
        assert linear.linear(x.bfloat16(), weight.bfloat16()).dtype == torch.bfloat16
        with torch.autocast("cpu", torch.bfloat16):
            assert linear.linear(x, weight).dtype == torch.bfloat16
        torch.testing.assert_close(by_onednn, OF_TORCH(x, weight), rtol=0, atol=2e-4)


def traced_of() -> Tensor:
    """A product inside a trace that starts while the layers are handed over."""
    layer = torch.nn.Linear(256, 192)
    traced: Tensor = torch.jit.trace(layer, torch.ones(64, 256))(torch.ones(64, 256))
    return traced


def masked_of() -> Tensor:
    """An encoder of torch, some of whose positions are padding: they come out as zeros."""
    layer = torch.nn.TransformerEncoderLayer(256, 4, 512, batch_first=True)
    with warnings.catch_warnings():  # nested tensors are a prototype
        warnings.simplefilter("ignore", UserWarning)
        encoder = torch.nn.TransformerEncoder(layer, 1).eval()
        return encoder(torch.ones(8, 20, 256), src_key_padding_mask=torch.arange(20) > 9 * ONES)


X, W, ONES = torch.ones(64, 256), torch.ones(192, 256), torch.ones(8, 1)
OTHERS: dict[str, Callable[[], Tensor]] = {
    "a bias for all": lambda: functional.linear(X, W, torch.tensor(3.0)),
    "a bias of one": lambda: functional.linear(X, W, torch.ones(1)),
    "a bias a row": lambda: functional.linear(X, W, torch.arange(64.0)[:, None]),
    "a weight of one row": lambda: functional.linear(torch.ones(64, 1 << 14), torch.ones(1 << 14)),
    "one input": lambda: functional.linear(torch.ones(2048), torch.ones(1024, 2048)),
    "by name": lambda: functional.linear(input=X, weight=W, bias=None),
    "sparse": lambda: functional.linear(X, W.to_sparse()),
    "vmap": lambda: torch.func.vmap(lambda x: functional.linear(x, W))(X.repeat(4, 1, 1)),
    "forward gradients": lambda: torch.func.jvp(lambda x: functional.linear(x, W), (X,), (X,))[1],
    "traced": traced_of,
    "masked": masked_of,
}


@needs_onednn
@pytest.mark.filterwarnings("ignore:`torch.jit")
@pytest.mark.parametrize("kind", list(OTHERS))
def test_what_the_operator_does_not_know_is_torch_s(kind: str, faster: None) -> None:
    def computed() -> Tensor:
        with torch.no_grad(), torch.random.fork_rng():
            torch.manual_seed(0)
            return OTHERS[kind]()

    expected = computed()
    with linear.fast():
        torch.testing.assert_close(computed(), expected, rtol=0, atol=2e-4)
    assert expected.any()


@needs_onednn
@pytest.mark.parametrize(
    ("bias", "message"),
    [
        (torch.ones(192, dtype=torch.bfloat16), r"must have the same dtype"),
        (torch.ones(100), r"must match the existing size \(100\)"),
        (torch.ones(192, device="meta"), r"meta is not on the expected device"),
    ],
)
def test_what_torch_refuses_is_refused(bias: Tensor, message: str, faster: None) -> None:
    with torch.inference_mode(), linear.fast(), pytest.raises(RuntimeError, match=message):
        functional.linear(X, W, bias)


def test_another_library_s_function_stays(faster: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def theirs(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        return x

    monkeypatch.setattr(functional, "linear", theirs)
    with linear.fast():
        assert functional.linear is theirs
    assert functional.linear is theirs


def test_nothing_changes_where_onednn_is_switched_off(
    faster: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.mkldnn, "enabled", False)
    with linear.fast():
        assert functional.linear is OF_TORCH


@needs_onednn
def test_torch_s_attention_is_computed_by_it(
    faster: None, handed_over: list[tuple[int, ...]]
) -> None:
    torch.manual_seed(0)
    attention = torch.nn.MultiheadAttention(256, 4, batch_first=True).eval()
    x = torch.randn(8, 20, 256)
    with torch.inference_mode():
        before, _ = attention(x, x, x, need_weights=False)
        with linear.fast():
            within, _ = attention(x, x, x, need_weights=False)
    assert [shape[-1] for shape in handed_over] == [768, 256]
    torch.testing.assert_close(within, before, rtol=0, atol=1e-6)


@needs_onednn
def test_a_batch_on_the_cpu_is_computed_by_it(
    faster: None, handed_over: list[tuple[int, ...]]
) -> None:
    layer = torch.nn.Linear(256, 128)

    def encode(inputs: list[Tensor]) -> Tensor:
        with torch.inference_mode():
            return layer(torch.stack(inputs))

    inputs = list(torch.randn(64, 256))
    vectors = inflight.launch(encode, inputs, Batch(64), "cpu").vectors
    assert handed_over == [(64, 256, 128)]
    torch.testing.assert_close(vectors, encode(inputs), rtol=0, atol=1e-5)


def test_torch_s_own_function_is_back_when_the_last_one_leaves(faster: None) -> None:
    both = Barrier(2, timeout=60)

    def enter_and_wait(first: bool) -> None:
        with linear.fast():
            both.wait()
            assert functional.linear is linear.linear
            if first:
                return
            both.wait()  # the first one has left
            assert functional.linear is linear.linear

    with ThreadPoolExecutor(2) as pool:
        leaving, staying = (pool.submit(enter_and_wait, first) for first in (True, False))
        leaving.result(60)
        both.wait()
        staying.result(60)
    assert functional.linear is OF_TORCH
    assert mha.get_fastpath_enabled is FUSES


def test_it_is_back_after_an_error(faster: None) -> None:
    with pytest.raises(ValueError, match=r"^no$"), linear.fast():
        raise ValueError("no")
    assert functional.linear is OF_TORCH
    assert mha.get_fastpath_enabled is FUSES


@pytest.mark.parametrize(
    ("vendor", "capability", "faster"),
    [
        ("AuthenticAMD", "AVX512", True),
        ("GenuineIntel", "AVX512", False),
        ("Intel64 Family 6 Model 143 Stepping 8, GenuineIntel", "AVX512", False),
        ("AuthenticAMD", "AVX2", False),
    ],
)
def test_where_it_is_faster(
    vendor: str, capability: str, faster: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processor, "vendor", lambda: vendor)
    monkeypatch.setattr(linear.cpu, "get_cpu_capability", lambda: capability)
    monkeypatch.setattr(linear.mkl, "is_available", lambda: True)
    monkeypatch.setattr(linear.mkldnn, "is_available", lambda: True)
    monkeypatch.setattr(linear, "is_right", lambda: True)
    assert linear.is_faster.__wrapped__() == faster
    monkeypatch.setattr(linear, "is_right", lambda: False)
    assert not linear.is_faster.__wrapped__()


@needs_onednn
def test_the_operator_is_tried_before_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    assert linear.is_right()
    whole = torch.ops.mkldnn._linear_pointwise
    for other in (
        lambda x, weight, bias, *_: whole(x, weight, None, "none", [], ""),
        lambda *given: whole(*(x.bfloat16() for x in given[:3]), *given[3:]).float(),
        lambda x, weight: x,
    ):
        monkeypatch.setattr(torch.ops.mkldnn, "_linear_pointwise", other)
        assert not linear.is_right()
    monkeypatch.delattr(torch.ops.mkldnn, "_linear_pointwise")
    monkeypatch.setattr(type(torch.ops.mkldnn), "__getattr__", object.__getattribute__)
    assert not linear.is_right()


def test_where_it_is_not_faster_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linear, "is_faster", lambda: False)
    with linear.fast():
        assert functional.linear is OF_TORCH
        assert mha.get_fastpath_enabled is FUSES


def test_the_processor_has_a_name_and_a_vendor(monkeypatch: pytest.MonkeyPatch) -> None:
    assert processor.name()
    monkeypatch.setattr(processor, "_field", lambda wanted: None)
    monkeypatch.setattr("platform.processor", lambda: "AMD64 Family 26, AuthenticAMD")
    assert processor.name() == processor.vendor() == "AMD64 Family 26, AuthenticAMD"
