"""Laws of the automaton, against the slow obvious search."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fimble_model.engine.protocol import TokenId
from fimble_model.engine.suffix_automaton import SuffixAutomaton

few_ids = st.lists(st.integers(0, 2).map(TokenId), max_size=30)


def _built(token_ids: list[TokenId]) -> SuffixAutomaton:
    automaton = SuffixAutomaton()
    automaton.become(token_ids)
    return automaton


def _first_end(text: list[TokenId], wanted: list[TokenId]) -> int | None:
    for end in range(len(wanted), len(text) + 1):
        if text[end - len(wanted) : end] == wanted:
            return end
    return None


def _longest_known_end(text: list[TokenId], read: list[TokenId]) -> list[TokenId]:
    return next(
        read[start:] for start in range(len(read) + 1) if _first_end(text, read[start:]) is not None
    )


@given(few_ids)
def test_the_end_of_a_text_is_found_at_its_earlier_place(text: list[TokenId]) -> None:
    trail = _built(text).trail_of_end()
    n_obvious = max(
        (
            n_tokens
            for n_tokens in range(len(text))
            if n_tokens == 0 or _first_end(text[:-1], text[-n_tokens:]) is not None
        ),
        default=0,
    )
    assert trail.n_tokens == n_obvious


@given(few_ids, few_ids)
def test_a_trail_is_the_longest_end_of_what_was_read_that_stands_in_the_text(
    text: list[TokenId], read: list[TokenId]
) -> None:
    automaton = _built(text)
    trail = _built([]).trail_of_end()
    for n_read, token_id in enumerate(read, 1):
        trail = automaton.follow(trail, token_id)
        known = _longest_known_end(text, read[:n_read])
        assert trail.n_tokens == len(known)
        end = _first_end(text, known) or 0
        expected = text[end] if known and end < len(text) else None
        assert automaton.try_next(trail) == expected


@given(st.lists(few_ids, min_size=1, max_size=5))
def test_taking_tokens_back_leaves_what_building_anew_gives(texts: list[list[TokenId]]) -> None:
    automaton = SuffixAutomaton()
    for text in texts:
        automaton.become(text)
        fresh = _built(text)
        assert automaton.token_ids == text
        assert (automaton._edges, automaton._links) == (fresh._edges, fresh._links)
        assert (automaton._lengths, automaton._ends) == (fresh._lengths, fresh._ends)


@given(few_ids, st.integers(1, 7))
def test_an_index_that_may_grow_by_a_few_tokens_only_is_whole_in_the_end(
    text: list[TokenId], n_most_new: int
) -> None:
    automaton, n_calls = SuffixAutomaton(), 1
    while not automaton.become(text, n_most_new):
        n_calls += 1
    assert automaton.token_ids == text
    assert n_calls == max(1, -(-len(text) // n_most_new))


def test_only_taking_back_makes_trails_useless() -> None:
    automaton = _built([TokenId(1), TokenId(2), TokenId(1)])
    version = automaton.version
    automaton.append(TokenId(2))
    assert automaton.version == version
    automaton.truncate(2)
    assert automaton.version != version


def test_a_token_costs_a_few_states_and_edges_at_most() -> None:
    """Blumer et al.: at most 2n - 1 states and 3n - 4 edges."""
    text = [TokenId(number * number % 7) for number in range(500)]
    automaton = _built(text)
    assert len(automaton._edges) <= 2 * len(text) - 1
    assert sum(map(len, automaton._edges)) <= 3 * len(text) - 4
