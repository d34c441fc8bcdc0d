"""The laws of the GPU's runner on a real card. None of this has run where it was written."""

from __future__ import annotations

import functools
import gc
import math
from collections.abc import Sequence

import pytest
import torch

from fimble_model.assembly import layout_of
from fimble_model.engine.clock import SystemClock
from fimble_model.engine.kv_cache import KvRow
from fimble_model.engine.pieces import Drawn, Piece, Wish
from fimble_model.engine.protocol import TokenId
from fimble_model.gpu import operations, paged_masks
from fimble_model.gpu.card import open_card
from fimble_model.gpu.parts import GpuParts, build_parts
from fimble_model.network.config import NetworkConfig
from fimble_model.network.device import Dtype, Placement
from fimble_model.network.transformer import Transformer
from fimble_model.network.weights import random_network

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

# Heads of 64 and 128 are what paged kernels are made for; widths are those of no real model.
CONFIG = NetworkConfig(
    n_layers=3,
    width=256,
    n_query_heads=8,
    n_key_heads=2,
    head_size=64,
    feed_forward_width=512,
    vocabulary_size=1024,
    max_positions=1024,
    qkv_bias=True,
)
# How far log-probabilities move by rounding: bfloat16 keeps 8 bits of every number.
BFLOAT16_TOLERANCE = 0.15
FLOAT32_TOLERANCE = 5e-3
GREEDY = Wish(0.0, 1.0, (), 1000)


@functools.cache
def _network(device: str, dtype: Dtype) -> tuple[Transformer, Placement]:
    placement = Placement(device=device, dtype=dtype, n_threads=1)
    return random_network(CONFIG, placement, seed=1), placement


def _parts(
    device: str = "cuda",
    dtype: Dtype = Dtype.BFLOAT16,
    *,
    has_graphs: bool = False,
    looks_ahead: bool = False,
) -> GpuParts:
    network, placement = _network(device, dtype)
    layout = layout_of(network, placement)
    parts = build_parts(
        network,
        layout,
        card=open_card(layout.device),
        clock=SystemClock(),
        n_most_rows=8,
        budget_bytes=200 * layout.bytes_per_page,
        has_graphs=has_graphs,
        looks_ahead=looks_ahead,
    )
    if has_graphs:
        parts.runner.warm_up(lambda share: None)
        assert parts.runner.n_graphs > 0, "nothing was captured"
    return parts


def _ids(seed: int, n_tokens: int) -> list[TokenId]:
    generator = torch.Generator().manual_seed(seed)
    return [TokenId(i) for i in torch.randint(0, 1024, (n_tokens,), generator=generator).tolist()]


def _row(parts: GpuParts) -> KvRow:
    row = parts.cache.try_acquire((), 500)
    assert row is not None
    return row


def _scores(parts: GpuParts, token_ids: list[TokenId], sizes: Sequence[int]) -> torch.Tensor:
    """Log-probabilities of a row that is fed in pieces of these sizes."""
    row, found, start = _row(parts), [], 0
    for size in sizes:
        (answer,) = parts.runner.run([Piece(row, token_ids[start : start + size], 0)])
        assert isinstance(answer, torch.Tensor)
        found.append(answer.cpu())
        start += size
    return torch.cat(found)


def _decode(
    parts: GpuParts,
    seeds: Sequence[int],
    n_steps: int,
    *,
    gone: dict[int, int] | None = None,
) -> dict[int, list[Drawn]]:
    """What rows of random prompts draw, all in one batch; `gone` says after which step one ends."""
    rows = {seed: _row(parts) for seed in seeds}
    prompts = {seed: _ids(seed, 40 + seed) for seed in seeds}
    parts.runner.run(
        [Piece(rows[seed], prompts[seed][:-1], len(prompts[seed]) - 1) for seed in seeds]
    )
    last = {seed: prompts[seed][-1] for seed in seeds}
    drawn: dict[int, list[Drawn]] = {seed: [] for seed in seeds}
    for step in range(n_steps):
        for seed, n_last in (gone or {}).items():
            if n_last == step:
                parts.cache.release(rows.pop(seed))
        answers = parts.runner.run([Piece(row, [last[s]], 0, GREEDY) for s, row in rows.items()])
        for seed, answer in zip(rows, answers, strict=True):
            assert isinstance(answer, list)
            drawn[seed] += answer
            last[seed] = answer[0].token_id
    return drawn


def _assert_same(found: list[Drawn], expected: list[Drawn], tolerance: float) -> None:
    """The same tokens, up to a place where two were equally likely within the tolerance."""
    for one, other in zip(found, expected, strict=True):
        assert math.isclose(one.logprob, other.logprob, abs_tol=tolerance)
        if one.token_id != other.token_id:
            return


@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [(Dtype.FLOAT32, FLOAT32_TOLERANCE), (Dtype.BFLOAT16, BFLOAT16_TOLERANCE)],
)
@pytest.mark.parametrize("sizes", [[150], [100, 1, 3, 17, 29]])
def test_a_card_computes_what_the_cpu_does_in_float32(
    dtype: Dtype, tolerance: float, sizes: list[int]
) -> None:
    token_ids = _ids(3, 150)
    expected = _scores(_parts("cpu", Dtype.FLOAT32), token_ids, [150])
    found = _scores(_parts("cuda", dtype), token_ids, sizes)
    torch.testing.assert_close(found, expected, atol=tolerance, rtol=0)


@pytest.mark.parametrize("looks_ahead", [False, True])
def test_graphs_equal_eager(looks_ahead: bool) -> None:
    """The same kernels over the same shapes: bit for bit but for the tables' width."""
    eager = _decode(_parts(), [1, 2, 3], 24)
    graphed = _decode(_parts(has_graphs=True, looks_ahead=looks_ahead), [1, 2, 3], 24)
    for seed in (1, 2, 3):
        _assert_same(graphed[seed], eager[seed], BFLOAT16_TOLERANCE)


def test_batched_equals_alone() -> None:
    batched = _decode(_parts(has_graphs=True), [1, 2, 3, 4, 5], 24)
    for seed in (1, 3, 5):
        alone = _decode(_parts(has_graphs=True), [seed], 24)
        _assert_same(batched[seed], alone[seed], BFLOAT16_TOLERANCE)


def test_a_row_cancelled_in_a_graphs_batch_changes_nothing_for_the_others() -> None:
    expected = _decode(_parts(), [1, 2, 3], 24)
    parts = _parts(has_graphs=True, looks_ahead=True)
    found = _decode(parts, [1, 2, 3], 24, gone={2: 9})
    assert len(found[2]) == 9
    for seed in (1, 3):
        _assert_same(found[seed], expected[seed], BFLOAT16_TOLERANCE)


@pytest.mark.skipif(not paged_masks.has_xformers(), reason="xformers is not installed")
def test_xformers_and_sdpa_draw_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    found = _decode(_parts(), [1, 2, 3], 24)
    monkeypatch.setattr(paged_masks, "serves", lambda *_: False)
    monkeypatch.setattr(operations, "has_triton", lambda: False)
    expected = _decode(_parts(), [1, 2, 3], 24)
    for seed in (1, 2, 3):
        _assert_same(found[seed], expected[seed], BFLOAT16_TOLERANCE)


def test_memory_that_runs_out_is_an_error_that_the_engine_knows_and_the_next_pass_runs() -> None:
    parts = _parts()
    token_ids = _ids(3, 150)
    expected = _scores(parts, token_ids, [150])
    free_bytes = torch.cuda.mem_get_info()[0]
    with pytest.raises(torch.OutOfMemoryError):
        parts.cache.pool.keys_LPSKD.new_empty(2 * free_bytes)
    parts.runner.give_way()
    found = _scores(parts, token_ids, [150])
    torch.testing.assert_close(found, expected, atol=BFLOAT16_TOLERANCE, rtol=0)


def test_a_pool_and_its_graphs_give_their_memory_back() -> None:
    allocated = []
    for _ in range(3):
        # The first makes the libraries' workspaces too, which stay.
        parts = _parts(has_graphs=True)
        while_held = torch.cuda.memory_allocated()
        del parts
        gc.collect()
        torch.cuda.synchronize()
        torch.cuda.empty_cache()
        allocated.append(torch.cuda.memory_allocated())
        assert allocated[-1] < while_held
    assert allocated[2] <= allocated[1] + 2**20
