"""What xformers is told of rows and pages: on the CPU, where its kernels cannot run."""

from __future__ import annotations

import gc
import weakref

import pytest
import torch

from fimble_model.gpu import operations, paged_masks


def test_pages_become_one_axis_of_slots_without_a_copy() -> None:
    """Page p's slot s lies at 64 p + s, and query heads of a group share their key head."""
    pool_PSKD = torch.randn(3, 64, 2, 16)
    flat = paged_masks.flatten_pages(pool_PSKD, 6)
    assert flat.shape == (1, 192, 2, 3, 16)
    assert flat.data_ptr() == pool_PSKD.data_ptr()
    assert torch.equal(flat[0, 130, :, 2], pool_PSKD[2, 2])


def test_a_cpu_is_never_served_by_xformers() -> None:
    """Without a GPU attention over pages is the reference's, whatever is installed."""
    q_BTHD, pool = torch.randn(1, 1, 2, 16), torch.randn(1, 64, 2, 16)
    assert not paged_masks.serves(q_BTHD, pool)
    tables, lengths = torch.zeros(1, 1, dtype=torch.int32), torch.tensor([1], dtype=torch.int32)
    found = operations.attend_paged(q_BTHD, pool, pool, tables, lengths, 1.0)
    assert torch.allclose(found[0, 0], pool[0, 0])


def test_what_is_kept_of_a_mask_holds_nobodys_memory() -> None:
    """Lengths computed in a graph lie in its memory, which would never be given back."""
    pytest.importorskip("xformers", reason="xformers is not installed: pip install 'fimble[gpu]'")
    tables_BP = torch.tensor([[2, 1], [3, 0]], dtype=torch.int32)
    first = paged_masks._cached_mask(tables_BP, torch.tensor([70, 5]), 1, 64)
    second = paged_masks._cached_mask(tables_BP + 1, torch.tensor([9, 0]), 1, 64)
    assert first.k_seqinfo.seqlen.tolist() == [70, 5]
    assert second.k_seqinfo.seqlen.tolist() == [9, 1]
    assert torch.equal(second.block_tables, tables_BP + 1)
    held = weakref.ref(second.k_seqinfo.seqlen)
    del first, second
    gc.collect()
    assert held() is None


def test_the_mask_lets_each_token_see_its_rows_slots_before_it() -> None:
    """The mask that xformers makes of it, over the pool's slots."""
    pytest.importorskip("xformers", reason="xformers is not installed: pip install 'fimble[gpu]'")
    tables_BP = torch.tensor([[2, 1], [3, 0]], dtype=torch.int32)
    lengths_B = torch.tensor([70, 5], dtype=torch.int32)
    mask = paged_masks.build_mask(tables_BP, lengths_B, n_tokens=2, page_slots=64)
    assert mask.k_seqinfo.seqlen.tolist() == [70, 5]
    mask.k_seqinfo.seqlen_py[:] = lengths_B.tolist()  # The host's copy: `materialize` reads it.
    seen = mask.materialize((4, 4 * 64)) == 0
    expected = torch.zeros(4, 256, dtype=torch.bool)
    for query, (length, pages) in enumerate(((69, (2, 1)), (70, (2, 1)), (4, (3,)), (5, (3,)))):
        for slot in range(length):
            expected[query, pages[slot // 64] * 64 + slot % 64] = True
    assert torch.equal(seen, expected)
