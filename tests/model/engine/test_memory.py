"""The project memory against the slow and obvious search, over random documents and edits."""

from __future__ import annotations

import tracemalloc
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fimble_model.engine.memories import Memories, pays_for
from fimble_model.engine.memory import MemoryView, ProjectMemory, split_text
from fimble_model.engine.memory_index import (
    LEAST_ORDER,
    MOST_ORDER,
    build_segment,
    pack_tokens,
)
from fimble_model.engine.protocol import TokenId

_texts = st.text(alphabet="ab\n ", max_size=60)
_keys = st.sampled_from("xyzuvwq")
# What happens to a memory: a document is kept, or dropped where there is no text.
_events = st.lists(st.tuples(_keys, st.none() | _texts), max_size=30)


def _encode(text: str) -> list[TokenId]:
    return [TokenId(ord(sign)) for sign in text]


def _found(view: MemoryView, context: str) -> Counter[tuple[int, int]]:
    matches = view.find(_encode(context))
    if matches is None:
        return Counter()
    return Counter(zip(matches.next_ids.tolist(), matches.n_equal.tolist(), strict=True))


def _search(texts: Sequence[str], context: str) -> Counter[tuple[int, int]]:
    """Slow and obvious: try every place of every text."""
    found: Counter[tuple[int, int]] = Counter()
    for text in texts:
        for place in range(len(text)):
            before, n_equal = text[:place], 0
            while n_equal < min(len(before), len(context), MOST_ORDER) and (
                before[-1 - n_equal] == context[-1 - n_equal]
            ):
                n_equal += 1
            if n_equal >= LEAST_ORDER:
                found[ord(text[place]), n_equal] += 1
    return found


@settings(deadline=None)
@given(_events, st.text(alphabet="ab\n ", max_size=10))
def test_what_is_found_is_what_the_texts_say(
    events: list[tuple[str, str | None]], context: str
) -> None:
    memory, texts = ProjectMemory(_encode), dict[str, str]()
    for key, text in events:
        if text is None:
            memory.forget(key)
            texts.pop(key, None)
        else:
            memory.remember(key, text)
            texts[key] = text
    assert _found(memory.view(), context) == _search(list(texts.values()), context)


@settings(deadline=None)
@given(_events, _events, st.text(alphabet="ab\n ", max_size=10))
def test_a_view_stays_as_it_was(
    before: list[tuple[str, str | None]], after: list[tuple[str, str | None]], context: str
) -> None:
    memory = ProjectMemory(_encode)
    for key, text in before:
        memory.remember(key, text or "")
    view = memory.view()
    found = _found(view, context)
    for key, text in after:
        memory.forget(key) if text is None else memory.remember(key, text)
    assert _found(view, context) == found


@settings(deadline=None)
@given(st.text(alphabet="ab\r\n 😀\u2028", max_size=200))
def test_the_pieces_of_a_text_are_the_text(text: str) -> None:
    assert "".join(split_text(text)) == text


def test_a_key_typed_encodes_a_few_lines_again() -> None:
    encoded: list[str] = []

    def encode(text: str) -> list[TokenId]:
        encoded.append(text)
        return _encode(text)

    memory = ProjectMemory(encode)
    lines = [f"    value_{index} = compute({index})" for index in range(2_000)]
    memory.remember("file", "\n".join(lines))
    encoded.clear()
    lines[1_000] += "x"
    memory.remember("file", "\n".join(lines))
    assert sum(map(len, encoded)) < 4_000
    encoded.clear()
    memory.remember("file", "\n".join(lines))
    assert encoded == []


def test_the_budget_holds_and_the_oldest_go_first() -> None:
    memory = ProjectMemory(_encode, budget_bytes=40_000)
    for index in range(40):
        memory.remember(str(index), f"{index:04d}" * 100)
        assert memory.n_bytes <= 40_000
    assert memory.keys[-1] == "39"
    assert memory.keys == tuple(str(index) for index in range(40 - len(memory.keys), 40))
    assert memory.n_bytes >= 10_000


def test_few_segments_hold_many_documents() -> None:
    """A lookup goes through each of them."""
    memory = ProjectMemory(_encode)
    for index in range(300):
        memory.remember(str(index), "abc" * (index % 7 + 1))
    assert len(memory.view().segments) <= 4 + 10


def test_scopes_see_nothing_of_each_other() -> None:
    memories = Memories(_encode)
    memories.remember("one", "file", "abcabc")
    assert _found(memories.view("one"), "ab")
    assert not _found(memories.view("two"), "ab")
    memories.forget("one", "file")
    assert not _found(memories.view("one"), "ab")
    memories.remember("one", "file", "abcabc")
    memories.forget("one")
    memories.forget("never there")
    assert memories.n_bytes == 0


def test_the_scope_used_longest_ago_goes_when_the_budget_is_full() -> None:
    memories = Memories(_encode, budget_bytes=20_000)
    for scope in ("one", "two", "three"):
        memories.remember(scope, "file", "abcd" * 250)
    assert memories.n_bytes <= 20_000
    assert not _found(memories.view("one"), "ab")
    assert _found(memories.view("three"), "ab")


@pytest.mark.parametrize(("n_parameters", "pays"), [(2_000_000, True), (1_500_000_000, False)])
def test_small_networks_have_a_memory(n_parameters: int, pays: bool) -> None:
    assert pays_for(n_parameters) is pays


def test_ids_beyond_a_hash_are_told_apart() -> None:
    """Large vocabularies' pairs share hashes; the tokens themselves decide."""
    memory = ProjectMemory(lambda text: [TokenId(ord(sign) + 65_536 * 3) for sign in text])
    memory.remember("file", "abcabc")
    assert memory.view().find(_encode("ab")) is None
    found = memory.view().find([TokenId(ord(sign) + 65_536 * 3) for sign in "ab"])
    assert found is not None
    assert np.unique(found.next_ids).tolist() == [ord("c") + 65_536 * 3]


def test_an_index_is_built_in_little_room() -> None:
    """A segment of a million tokens takes some 30 MB more while it is sorted, not 50."""
    tokens = pack_tokens(np.random.default_rng(0).zipf(1.3, 200_000).clip(0, 6_000).tolist())
    tracemalloc.start()
    build_segment({"a": tokens})
    n_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert n_bytes < 36 * len(tokens)
