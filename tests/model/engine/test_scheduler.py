"""Laws of the pass plan: no row starves, no budget is exceeded."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fimble_model.engine.protocol import RequestId
from fimble_model.engine.scheduler import RowDemand, plan_pass

pending = st.lists(st.integers(1, 600), min_size=1, max_size=20)


def _demands(pending_tokens: list[int]) -> list[RowDemand]:
    return [
        RowDemand(request_id=RequestId(str(index)), n_pending_tokens=n_tokens)
        for index, n_tokens in enumerate(pending_tokens)
    ]


@given(pending, st.integers(1, 300))
def test_a_pass_advances_rows_within_its_budget(pending_tokens: list[int], budget: int) -> None:
    shares = plan_pass(_demands(pending_tokens), budget)
    n_single = pending_tokens.count(1)
    assert len({share.request_id for share in shares}) == len(shares) > 0
    assert sum(share.n_tokens for share in shares) <= max(budget, n_single)
    for share in shares:
        assert 1 <= share.n_tokens <= pending_tokens[int(share.request_id)]


@given(pending, st.integers(1, 300))
def test_a_decoding_row_advances_in_every_pass(pending_tokens: list[int], budget: int) -> None:
    advanced = {share.request_id for share in plan_pass(_demands(pending_tokens), budget)}
    assert {str(i) for i, n_tokens in enumerate(pending_tokens) if n_tokens == 1} <= advanced


def test_the_newest_prompt_is_computed_first() -> None:
    shares = plan_pass(_demands([500, 1, 200]), 256)
    assert [(share.request_id, share.n_tokens) for share in shares] == [
        ("1", 1),
        ("2", 200),
        ("0", 55),
    ]


def test_no_rows_need_no_pass() -> None:
    assert plan_pass([], 256) == ()
