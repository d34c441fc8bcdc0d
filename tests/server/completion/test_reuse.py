"""Laws of reuse: what is answered without the model leads to the same text as before."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fimble_model.engine.stopping import NeverStop
from fimble_server.completion.answer import Answer, Suggestion, Timing, TokenCounts
from fimble_server.completion.page import page_of
from fimble_server.completion.plan import Mode, Plan, Trigger
from fimble_server.completion.reuse import Remembered, refit, remember, try_reuse
from fimble_server.completion.snapshot import Snapshot
from fimble_server.document.buffers import Buffer
from fimble_server.document.positions import CharOffset
from fimble_testing.marked_text import parse_marked, show_insertion, snapshot_of

PLAN = Plan(
    mode=Mode.ACCELERATION,
    rule="test",
    wanted=True,
    max_lines=4,
    max_new_tokens=20,
    stop=NeverStop(),
    n_candidates=1,
    deadline_ms=100.0,
    min_confidence=0.0,
)


def _answer(snapshot: Snapshot, *texts: str, n_overwritten: int = 0) -> Answer:
    return Answer(
        plan=PLAN,
        suggestions=tuple(
            Suggestion(
                suggestion_id=text,
                text=text,
                start=snapshot.cursor,
                end=snapshot.cursor + n_overwritten,
                confidence=0.5,
            )
            for text in texts
        ),
        hidden=(),
        source="model",
        tokens=TokenCounts(prompt=7),
        timing=Timing(decode_ms=3.0),
        model=None,
    )


def _remembered(marked: str, *texts: str, n_overwritten: int = 0) -> Remembered:
    snapshot = snapshot_of(marked)
    answer = _answer(snapshot, *texts, n_overwritten=n_overwritten)
    return remember(answer, page_of(snapshot), snapshot)


def check(then: str, suggestion: str, now: str, *, n_overwritten: int = 0) -> str | None:
    """What the suggestion, made for `then`, shows in `now`; None where it is not reused."""
    remembered = _remembered(then, suggestion, n_overwritten=n_overwritten)
    snapshot = snapshot_of(now)
    answer = try_reuse([remembered], page_of(snapshot), snapshot)
    if answer is None:
        return None
    shown = answer.suggestions[0]
    assert shown.start <= snapshot.cursor <= shown.end
    return show_insertion(
        snapshot.buffer.text, start=shown.start, end=shown.end, inserted=shown.text
    )


@pytest.mark.parametrize(
    ("then", "suggestion", "now", "shown"),
    [
        ("x = <|>\ny", "foo(a)", "x = <|>\ny", "x = ⟦foo(a)⟧\ny"),
        ("x = <|>\ny", "foo(a)", "x = fo<|>\ny", "x = fo⟦o(a)⟧\ny"),
        ("x = <|>\ny", "foo(a)", "x = foo(<|>)\ny", "x = foo(⟦a)⟧\ny"),
        ("x = <|>\ny", 'd["k"]', 'x = d["<|>"]\ny', 'x = d["⟦k"]⟧\ny'),
        ("x = <|>\r\ny", "f(\r\n    a)", "x = f(<|>\r\ny", "x = f(⟦\r\n    a)⟧\r\ny"),
        ("a😀<|>", "😀b", "a😀😀<|>", "a😀😀⟦b⟧"),
    ],
)
def test_typing_along_shows_the_rest(then: str, suggestion: str, now: str, shown: str) -> None:
    assert check(then, suggestion, now) == shown


@pytest.mark.parametrize(
    "now",
    [
        "x = fa<|>\ny",  # typed something else
        "x = foo(a)<|>\ny",  # typed all of it
        "x = foo(a<|>)\ny",  # all but what the editor wrote
        "x <|>= \ny",  # the cursor went left of it
        "z = fo<|>\ny",  # the text left of it changed
        "x = fo<|>\nz",  # the text below changed
        "x = fo<|> + 1\ny",  # something other than a closer came in on the right
    ],
)
def test_anything_else_asks_the_model(now: str) -> None:
    assert check("x = <|>\ny", "foo(a)", now) is None


def test_going_back_inside_what_was_typed_along_shows_more_again() -> None:
    assert check("x = <|>", "foo", "x = f<|>") == "x = f⟦oo⟧"
    assert check("x = <|>", "foo", "x = <|>") == "x = ⟦foo⟧"


def test_typing_over_a_closer_that_was_to_be_overwritten() -> None:
    then, text = "def f(<|>):", "x):\n    pass"
    assert check(then, text, "def f(x<|>):", n_overwritten=2) == "def f(x⟦):\n    pass⟧"
    assert check(then, text, "def f(x)<|>:", n_overwritten=2) == "def f(x)⟦:\n    pass⟧"
    assert check(then, text, "def f(x):<|>", n_overwritten=2) == "def f(x):⟦\n    pass⟧"


SUGGESTIONS = st.text(alphabet="ab()[]\n 😀", min_size=1, max_size=10)


@given(SUGGESTIONS, st.integers(0, 10), st.booleans())
def test_the_rest_leads_to_the_text_that_was_suggested(
    suggestion: str, n_typed: int, closes: bool
) -> None:
    """Whatever was typed of it, accepting the rest gives what accepting all of it gave."""
    closer = ")" if closes else ""
    now = f"x = {suggestion[:n_typed]}<|>{closer}\ny"
    shown = check("x = <|>\ny", suggestion, now)
    if not closes and n_typed < len(suggestion):
        assert shown is not None
    if shown is not None:
        assert shown.replace("⟦", "").replace("⟧", "") == f"x = {suggestion}\ny"


def test_the_same_question_gets_the_same_answer_even_if_that_is_nothing() -> None:
    snapshot = snapshot_of("x<|>")
    again = try_reuse([_remembered("x<|>")], page_of(snapshot), snapshot)
    assert again is not None
    assert again.suggestions == ()
    assert again.source == "reuse"
    assert again.tokens == TokenCounts()


def test_an_explicit_request_is_not_answered_by_what_typing_gave() -> None:
    snapshot = dataclasses.replace(snapshot_of("x<|>"), trigger=Trigger.INVOKED)
    assert try_reuse([_remembered("x<|>", "y")], page_of(snapshot), snapshot) is None


def test_one_candidate_does_not_answer_a_wish_for_three() -> None:
    snapshot = dataclasses.replace(snapshot_of("x<|>"), n_candidates=3)
    assert try_reuse([_remembered("x<|>", "y")], page_of(snapshot), snapshot) is None


def test_of_several_candidates_those_that_still_fit_stay() -> None:
    snapshot = snapshot_of("x = f<|>")
    answer = try_reuse([_remembered("x = <|>", "foo", "bar", "fun")], page_of(snapshot), snapshot)
    assert answer is not None
    assert [each.text for each in answer.suggestions] == ["oo", "un"]


def test_the_selected_item_of_a_suggest_list_must_begin_what_is_reused() -> None:
    typed = snapshot_of("x.fo<|>")
    start = CharOffset(2)
    for selected, text in (("format", "format()"), ("fold", None)):
        snapshot = dataclasses.replace(typed, selected_text=selected, selected_start=start)
        answer = try_reuse([_remembered("x.<|>", "format()")], page_of(snapshot), snapshot)
        if text is None:
            assert answer is None
        else:
            assert answer is not None
            assert [(each.start, each.text) for each in answer.suggestions] == [(2, text)]


def _refit(then: str, suggestion: str, now: str, *, is_cursor_known: bool = True) -> str | None:
    snapshot = snapshot_of(then)
    text, cursor = parse_marked(now)
    buffer = Buffer(uri="file:///marked", language_id="python", version=2, text=text)
    answer = refit(
        _answer(snapshot, suggestion), snapshot, buffer, cursor if is_cursor_known else None
    )
    if answer is None:
        return None
    shown = answer.suggestions[0]
    return show_insertion(text, start=shown.start, end=shown.end, inserted=shown.text)


@pytest.mark.parametrize("is_cursor_known", [True, False])
@pytest.mark.parametrize(
    ("now", "shown"),
    [
        ("x = <|>\n", "x = ⟦foo(a)⟧\n"),
        ("x = fo<|>\n", "x = fo⟦o(a)⟧\n"),
        ("x = foo(<|>)\n", "x = foo(⟦a)⟧\n"),
        ("x = bar<|>\n", None),
        ("import x\nx = <|>\n", None),
    ],
)
def test_a_late_answer_is_shown_where_it_still_fits(
    now: str, shown: str | None, is_cursor_known: bool
) -> None:
    assert _refit("x = <|>\n", "foo(a)", now, is_cursor_known=is_cursor_known) == shown


def test_a_late_answer_keeps_its_figures() -> None:
    snapshot = snapshot_of("x<|>")
    answer = _answer(snapshot, "yz")
    buffer = dataclasses.replace(snapshot.buffer, text="xy", line_index=None)
    late = refit(answer, snapshot, buffer)
    assert late is not None
    assert (late.tokens, late.timing, late.source) == (
        answer.tokens,
        answer.timing,
        answer.source,
    )
