"""The native search and mix are NumPy's: the same places in the same order, the same mix."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fimble_model.engine.memory import MemoryView, ProjectMemory
from fimble_model.engine.memory_index import (
    LEAST_ORDER,
    MOST_ORDER,
    N_LEVELS,
    Matches,
    build_segment,
    pack_tokens,
)
from fimble_model.engine.memory_mixing import blend
from fimble_model.engine.protocol import TokenId
from fimble_model.network.native import library
from fimble_model.network.native.memory import Found, build_rule, try_blend

pytestmark = pytest.mark.skipif(
    library.kernels_name() is None, reason="the native kernels were not built"
)
N_IDS = 40
_ids = st.lists(st.integers(0, 5), max_size=400)


def _view(documents: list[list[int]], key: str, offset: int, may_be_native: bool) -> MemoryView:
    texts = {f"f{i % 2}/{i}": pack_tokens([t + offset for t in d]) for i, d in enumerate(documents)}
    segment = build_segment(texts)
    dead = [each for each in texts if each.endswith("3")]
    segments = [segment, segment.marked(dead, is_alive=False)]
    return MemoryView(segments, key, may_be_native=may_be_native)


@settings(deadline=None)
@given(
    st.lists(_ids, min_size=1, max_size=6),
    st.lists(st.integers(0, 5), max_size=9),
    st.sampled_from([0, 70_000]),
)
def test_the_same_places_are_found_in_the_same_order(
    documents: list[list[int]], context: list[int], offset: int
) -> None:
    """Buckets of few and of many places, ids of two bytes and of four, documents near and dead."""
    wanted = [TokenId(token_id + offset) for token_id in context]
    native = _view(documents, "f1/1", offset, True).find(wanted)
    by_numpy = _view(documents, "f1/1", offset, False).find(wanted)
    assert (native is None) == (by_numpy is None)
    if native is not None and by_numpy is not None:
        assert native.next_ids.dtype == by_numpy.next_ids.dtype == np.int32
        assert native.next_ids.tolist() == by_numpy.next_ids.tolist()
        assert native.n_equal.tolist() == by_numpy.n_equal.tolist()
        assert native.levels.tolist() == by_numpy.levels.tolist()


_places = st.lists(
    st.tuples(
        st.integers(1, N_IDS - 1),
        st.integers(LEAST_ORDER, MOST_ORDER),
        st.integers(0, N_LEVELS - 1),
    ),
    min_size=1,
    max_size=300,
)


@settings(deadline=None)
@given(_places, st.integers(0, 20), st.floats(0.1, 30.0))
def test_the_mix_is_the_same(places: list[tuple[int, int, int]], seed: int, scale: float) -> None:
    columns = np.array(places).T
    matches = Matches(
        columns[0].astype(np.int32), columns[1].astype(np.int32), columns[2].astype(np.int8)
    )
    generator = torch.Generator().manual_seed(seed)
    plain_V = (torch.randn(N_IDS, generator=generator) * scale).log_softmax(dim=0)
    control_ids = np.array([0, 3])
    native = blend(plain_V, matches, control_ids)
    by_numpy = blend(plain_V, matches, control_ids, may_be_native=False)
    assert torch.allclose(native, by_numpy, atol=2e-5, rtol=1e-5)


def test_a_token_that_the_network_lacks_is_left_out() -> None:
    plain_V = np.log(np.full(8, 1 / 8, np.float32))
    rule = build_rule(
        weight_of_level=[1.0] * 3,
        least_share=[0.0] * 6,
        by_weight=0.0,
        by_rival_share=0.0,
        by_rivals=0.0,
        by_sureness=0.0,
    )

    def mix(next_ids: list[int]) -> float | None:
        found = Found(
            np.array(next_ids, np.int32),
            np.full(len(next_ids), 2, np.int32),
            np.zeros(len(next_ids), np.int8),
        )
        mixed_V = np.empty_like(plain_V)
        is_mixed = try_blend(rule, plain_V, found, np.array([0], np.int32), mixed_V)
        return float(np.exp(mixed_V).sum()) if is_mixed else None

    assert mix([5, 5, 6]) == pytest.approx(1.0, abs=1e-5)
    assert mix([5, 900, -1]) == pytest.approx(1.0, abs=1e-5)
    assert mix(list(range(1, 8))) == pytest.approx(1.0, abs=1e-5)


def test_a_view_outlives_the_memory_it_was_taken_from() -> None:
    memory = ProjectMemory(lambda text: [TokenId(ord(sign)) for sign in text])
    memory.remember("a", "abcabcabd" * 50)
    view = memory.view("a")
    memory.forget("a")
    del memory
    found = view.find([TokenId(ord(sign)) for sign in "ab"])
    assert found is not None
    assert set(found.next_ids.tolist()) == {ord("c"), ord("d")}
