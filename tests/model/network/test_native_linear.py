"""Laws of the native linear layer: exact within its rounding, each row its own, any shape."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fimble_model.network.config import NetworkConfig
from fimble_model.network.device import Dtype, Kernels, Placement
from fimble_model.network.native.library import kernels_name, use_kernels
from fimble_model.network.native.linear import PanelLinear
from fimble_model.network.weights import random_network

pytestmark = pytest.mark.skipif(kernels_name() is None, reason="the native kernels are not built")


@pytest.fixture(autouse=True, params=["best", "generic"], scope="module")
def kernels(request: pytest.FixtureRequest) -> Iterator[str]:
    """The laws hold for this CPU's own kernels and for the plain ones."""
    best = kernels_name()
    assert best is not None
    assert use_kernels(best if request.param == "best" else request.param)
    yield request.param
    use_kernels(best)


@settings(max_examples=30, deadline=None)
@given(
    n_rows=st.integers(1, 70),
    n_inputs=st.sampled_from([1, 2, 15, 24, 100, 257]),
    n_outputs=st.sampled_from([2, 8, 34, 64, 300]),
    is_paired=st.booleans(),
    has_bias=st.booleans(),
)
def test_products_are_exact_for_whole_numbers(
    n_rows: int, n_inputs: int, n_outputs: int, is_paired: bool, has_bias: bool
) -> None:
    """With weights that int8 holds and rows of one magnitude, the only error is a float's."""
    generator = torch.Generator().manual_seed(n_rows)
    weight = torch.randint(-127, 128, (n_outputs, n_inputs), generator=generator).float()
    weight[:, 0] = 127
    bias = torch.randn(n_outputs, generator=generator) if has_bias else None
    rows = torch.randint(0, 2, (n_rows, n_inputs), generator=generator).float() * 2 - 1
    found = PanelLinear(weight, bias, is_paired=is_paired)(rows)
    expected = rows @ weight.T + (0 if bias is None else bias)
    assert torch.allclose(found, expected, rtol=1e-5, atol=1e-2)


@settings(max_examples=20, deadline=None)
@given(
    n_rows=st.integers(1, 40),
    n_inputs=st.sampled_from([2, 24, 100, 256]),
    n_outputs=st.sampled_from([2, 34, 300]),
    scale=st.sampled_from([1e-6, 1.0, 1e6]),
)
def test_a_row_is_its_own(n_rows: int, n_inputs: int, n_outputs: int, scale: float) -> None:
    """A row has the same bits alone and beside rows of any magnitude."""
    generator = torch.Generator().manual_seed(n_rows)
    linear = PanelLinear(torch.randn(n_outputs, n_inputs, generator=generator), None)
    rows = torch.randn(n_rows, n_inputs, generator=generator)
    rows[::2] *= scale
    alone = torch.cat([linear(rows[index : index + 1]) for index in range(n_rows)])
    assert torch.equal(linear(rows), alone)


def test_rounding_the_weights_is_all_the_error_there_is() -> None:
    """Activations keep more than ten bits: that half of int8's usual error is not there."""
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(300, 200, generator=generator)
    rows = torch.randn(50, 200, generator=generator) * torch.logspace(-4, 4, 50)[:, None]
    scale = weight.abs().amax(dim=1, keepdim=True) / 127
    exact = rows @ weight.T
    rounded = rows @ ((weight / scale).round() * scale).T
    found = PanelLinear(weight, None)(rows)
    assert float(((found - rounded).norm(dim=1) / exact.norm(dim=1)).max()) < 1e-3
    assert float(((found - exact).norm(dim=1) / exact.norm(dim=1)).max()) < 0.01


def test_the_largest_sums_do_not_overflow() -> None:
    """Every product of a long row at its greatest."""
    weight = torch.full((16, 9000), -1.0)
    found = PanelLinear(weight, None)(torch.full((1, 9000), 1e3))
    assert torch.allclose(found, torch.full((1, 16), -9e6), rtol=1e-3)


def test_a_row_of_zeros_gives_the_bias() -> None:
    linear = PanelLinear(torch.ones(4, 8), torch.arange(4.0))
    assert torch.equal(linear(torch.zeros(2, 8)), torch.arange(4.0).expand(2, 4))


def test_a_head_size_the_kernels_lack_runs_on_torch(caplog: pytest.LogCaptureFixture) -> None:
    """It is said once, with the reason, and the network works."""
    config = NetworkConfig(
        n_layers=1,
        width=24,
        n_query_heads=2,
        n_key_heads=1,
        head_size=12,
        feed_forward_width=24,
        vocabulary_size=32,
        max_positions=64,
    )
    placement = Placement(device="cpu", dtype=Dtype.INT8, kernels=Kernels.NATIVE)
    assert random_network(config, placement).native is None
    assert "head size of 12" in caplog.text
