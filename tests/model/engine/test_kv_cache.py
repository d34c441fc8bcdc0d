"""Laws of the pages' memory: within the budget, and what is written is what is read."""

from __future__ import annotations

import dataclasses

import torch

from fimble_model.engine.kv_cache import KvCache, KvLayout, KvPool, choose_cache_bytes
from fimble_model.engine.paging import PAGE_SLOTS
from fimble_model.engine.protocol import TokenId

LAYOUT = KvLayout(
    n_layers=2,
    n_key_heads=3,
    head_size=4,
    max_tokens=1024,
    dtype=torch.float32,
    device=torch.device("cpu"),
)


def test_the_budget_says_how_many_pages_there_are() -> None:
    cache = KvCache(LAYOUT, budget_bytes=5 * LAYOUT.bytes_per_page + 100)
    assert cache.pages.n_pages == 5
    assert cache.max_row_tokens == 5 * PAGE_SLOTS
    row = cache.try_acquire((), 200)
    assert row is not None
    row.prepare(130)
    assert cache.n_bytes == 3 * LAYOUT.bytes_per_page


def test_the_context_bounds_a_row_where_the_budget_does_not() -> None:
    assert KvCache(LAYOUT).max_row_tokens == LAYOUT.max_tokens


def test_slots_are_read_as_they_were_written_in_any_order_of_pages() -> None:
    pool = KvPool(LAYOUT, 4)
    pages_P = torch.tensor([3, 0])
    positions_T = torch.arange(60, 70)
    k_TKD, v_TKD = torch.randn(2, 10, 3, 4, generator=torch.Generator().manual_seed(0))
    pool.write(1, pages_P[positions_T // PAGE_SLOTS], positions_T % PAGE_SLOTS, k_TKD, v_TKD)
    k_KSD, v_KSD = pool.gather(1, pages_P, n_slots=70)
    assert torch.equal(k_KSD[:, 60:70], k_TKD.transpose(0, 1))
    assert torch.equal(v_KSD[:, 60:70], v_TKD.transpose(0, 1))
    assert not pool.gather(0, pages_P, n_slots=70)[0].any()


def test_slots_beyond_the_row_are_never_read() -> None:
    """A page may hold what another row left, and that may be no number at all."""
    pool = KvPool(LAYOUT, 1)
    pool.keys_LPKDS.fill_(torch.nan)
    pool.values_LPKSD.fill_(torch.nan)
    for x_KSD in pool.gather(0, torch.tensor([0]), n_slots=0):
        assert torch.equal(x_KSD, torch.zeros(3, PAGE_SLOTS, 4))


def test_a_copied_page_holds_the_same_in_every_layer() -> None:
    cache = KvCache(LAYOUT, budget_bytes=4 * LAYOUT.bytes_per_page)
    prompt = [TokenId(number) for number in range(10)]
    first = cache.try_acquire(prompt, 20)
    assert first is not None
    first.prepare(10)
    cache.pool.keys_LPKDS[:, first.pages[0]] = 1.5
    cache.pool.values_LPKSD[:, first.pages[0]] = 2.5
    first.extend(prompt)
    second = cache.try_acquire(prompt, 20)
    assert second is not None
    second.prepare(1)
    assert second.pages != first.pages
    assert (cache.pool.keys_LPKDS[:, second.pages[0]] == 1.5).all()
    assert (cache.pool.values_LPKSD[:, second.pages[0]] == 2.5).all()


def test_the_default_holds_sixteen_files_prompts_and_never_more_than_256_mib() -> None:
    sixteen_prompts = 16 * LAYOUT.max_tokens
    for n_layers in (1, 8, 64, 512):
        layout = dataclasses.replace(LAYOUT, n_layers=n_layers)
        n_bytes = choose_cache_bytes(layout)
        assert 32 * 2**20 <= n_bytes <= 256 * 2**20
        assert n_bytes == 256 * 2**20 or n_bytes >= sixteen_prompts * layout.bytes_per_token
    on_gpu = dataclasses.replace(LAYOUT, device=torch.device("cuda"))
    assert choose_cache_bytes(on_gpu) == 256 * 2**20
