"""Laws of a cap on a card: weights, pages and workspace fit under it together, or it is refused."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fimble_model.engine.memory_cap import CardCap
from fimble_model.errors import DeviceError
from fimble_model.gpu.buckets import all_buckets
from fimble_model.gpu.workspace import (
    fit_under_cap,
    reckon_buffer_bytes,
    reckon_workspace_bytes,
)
from fimble_model.network.shapes import SHAPES
from fimble_testing.gpu_on_host import build_gpu_parts, tiny_network

SIZES = st.integers(0, 10**9)


@given(st.integers(1, 10**9), SIZES, SIZES, SIZES, st.integers(1, 10**6))
def test_all_that_a_card_holds_for_us_fits_under_the_cap(
    cap: int, planned: int, weights: int, workspace: int, page: int
) -> None:
    sizes = {"workspace_bytes": workspace, "page_bytes": page}
    try:
        pages = fit_under_cap(CardCap(cap, weights), planned, **sizes)
    except DeviceError:
        assert cap < weights + workspace + 5 * page
        return
    assert weights + workspace + page + pages <= cap
    assert pages % page == 0
    assert min(planned, 4 * page) - page < pages <= planned
    assert fit_under_cap(CardCap(None, weights), planned, **sizes) == planned // page * page


@pytest.mark.parametrize("n_most_rows", [1, 4, 16])
def test_the_buffers_of_the_steps_are_as_large_as_they_are_reckoned(n_most_rows: int) -> None:
    network = tiny_network()
    parts = build_gpu_parts(n_most_rows=n_most_rows, n_pages=1000)
    steps = parts.runner._steps
    held = sum(
        tensor.untyped_storage().nbytes()
        for tensor in (steps._inputs, steps.logits_NV, steps._drawn.both_N2)
    )
    layout = parts.cache.layout
    assert held == reckon_buffer_bytes(network.config, layout, n_most_rows)


def test_a_large_batch_of_a_large_model_works_in_less_than_a_gibibyte() -> None:
    """The reckoning is no excuse to keep pages back: 7B in bfloat16, 256 rows, on a large card."""
    config = SHAPES["qwen2.5-coder-7b"]
    layout = build_gpu_parts().cache.layout
    layout = type(layout)(
        n_layers=config.n_layers,
        n_key_heads=config.n_key_heads,
        head_size=config.head_size,
        max_tokens=config.max_positions,
        dtype=torch.bfloat16,
        device=layout.device,
    )
    found = reckon_workspace_bytes(config, layout, n_most_rows=256, n_processors=132)
    n_tokens = max(bucket.n_tokens for bucket in all_buckets(256))
    assert n_tokens * config.vocabulary_size * 2 < found < 2**30
