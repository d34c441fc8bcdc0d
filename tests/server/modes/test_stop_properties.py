"""Laws of every stop rule, over random middles at random cursors."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from fimble_server.completion.mode import Decision, decide
from fimble_server.completion.plan import Length, Limits, Mode, Trigger, plan_completion
from fimble_server.completion.signals import LastEdit, LastVerdict, Rhythm, Signals
from fimble_server.completion.stopping import Extent, MiddleStop, build_stop
from fimble_server.document.languages import LANGUAGES, language_for_id
from fimble_server.document.syntax import SyntaxFacts, inspect, parse

_PIECES = st.sampled_from(
    [
        *("if x", "else", "elif y", "for", "try", "except E", "catch", "case 1", "def f", "let"),
        *("(", ")", "[", "]", "{", "}", ":", ";", ",", '"', "'", '"""', "`", "\\", "/", "*/"),
        *("\n", "\n\n", "\n    ", "\n  ", "\n\t", " ", "# a", "// b", "/* c", "r#", 'R"(', "--[["),
        *(
            "x",
            "return",
            "foo",
            "😀",
            "é",
            "=",
            "==",
            "=>",
            ".",
            "@",
            "'a",
            "\r\n",
            "<",
            "::",
            ":=",
        ),
    ]
)
_TEXTS = st.lists(_PIECES, max_size=25).map("".join)
_LANGUAGES = st.sampled_from(LANGUAGES)


@st.composite
def _facts(draw: st.DrawFn) -> SyntaxFacts:
    left, right = draw(_TEXTS), draw(_TEXTS)
    return inspect(parse(draw(_LANGUAGES), left + right), len(left))


@st.composite
def _stops(draw: st.DrawFn) -> MiddleStop:
    return build_stop(
        draw(_facts()),
        draw(st.sampled_from(Extent)),
        draw(st.integers(1, 6)),
        includes_closer=draw(st.booleans()),
    )


@given(stop=_stops(), middle=_TEXTS)
@settings(max_examples=300, deadline=None)
def test_a_cut_lies_in_the_middle(stop: MiddleStop, middle: str) -> None:
    """The answer is None or a count from 0 to the middle's length; at the end it is a count."""
    cut = stop.n_chars_to_keep(middle)
    assert cut is None or 0 <= cut <= len(middle)
    assert 0 <= stop.n_chars_at_end(middle, is_finished=False) <= len(middle)


@given(stop=_stops(), middle=_TEXTS, data=st.data())
@settings(max_examples=500, deadline=None)
def test_more_text_never_moves_a_cut(stop: MiddleStop, middle: str, data: st.DataObject) -> None:
    """Once cut, cut there for good, whatever the sizes of the tokens that the text comes in."""
    fresh = MiddleStop(boundary=stop.boundary)
    cut: int | None = None
    end = 0
    while end < len(middle):
        end = min(len(middle), end + data.draw(st.integers(1, 5)))
        found = stop.n_chars_to_keep(middle[:end])
        assert cut is None or found == cut
        assert found == MiddleStop(boundary=stop.boundary).n_chars_to_keep(middle[:end])
        cut = found
    assert cut == fresh.n_chars_to_keep(middle) or not middle
    if cut is not None:
        assert stop.n_chars_at_end(middle, is_finished=True) == cut


@given(stop=_stops(), first=_TEXTS, second=_TEXTS)
@settings(max_examples=200, deadline=None)
def test_candidates_do_not_disturb_each_other(stop: MiddleStop, first: str, second: str) -> None:
    """Rows of one request share a rule; turn by turn each is cut as if it were alone."""
    for end in range(max(len(first), len(second)) + 1):
        for middle in (first[:end], second[:end]):
            alone = MiddleStop(boundary=stop.boundary)
            assert stop.n_chars_to_keep(middle) == alone.n_chars_to_keep(middle)


@given(
    facts=_facts(),
    trigger=st.sampled_from(Trigger),
    last_edit=st.sampled_from(LastEdit),
    last_verdict=st.sampled_from(LastVerdict),
    rhythm=st.sampled_from(Rhythm),
    length=st.sampled_from(Length),
    eagerness=st.floats(0, 1),
)
@settings(max_examples=300, deadline=None)
def test_every_cursor_gets_a_plan_within_the_limits(
    facts: SyntaxFacts,
    trigger: Trigger,
    last_edit: LastEdit,
    last_verdict: LastVerdict,
    rhythm: Rhythm,
    length: Length,
    eagerness: float,
) -> None:
    """No text, however broken, is without a decision; what was asked for is always wanted."""
    decision = decide(
        Signals(
            facts=facts,
            trigger=trigger,
            last_edit=last_edit,
            last_verdict=last_verdict,
            rhythm=rhythm,
        )
    )
    limits = Limits(eagerness=eagerness, length=length)
    plan = plan_completion(decision, facts, limits, n_candidates=3)
    is_exploration = plan.mode is Mode.EXPLORATION
    assert plan.rule
    assert plan.n_candidates == (3 if is_exploration else 1)
    assert 0.0 <= plan.min_confidence <= 1.0
    assert plan.max_new_tokens in (limits.max_acceleration_tokens, limits.max_exploration_tokens)
    if trigger is Trigger.INVOKED:
        assert plan.wanted
        assert is_exploration
    elif last_edit in (LastEdit.DELETE, LastEdit.UNDO):
        assert not plan.wanted


def test_eagerness_lowers_the_threshold() -> None:
    """From a certain 0.8 at eagerness 0 down to nothing at 1."""
    facts = inspect(parse(language_for_id("python"), "x = "), 4)
    decision = Decision(mode=Mode.ACCELERATION, rule="mid-line", wanted=True, extent=Extent.LINE)
    thresholds = [
        plan_completion(decision, facts, Limits(eagerness=eagerness)).min_confidence
        for eagerness in (0.0, 0.5, 1.0)
    ]
    assert thresholds == sorted(thresholds, reverse=True)
    assert thresholds[-1] == 0.0


def test_a_pause_below_a_comment_is_a_look_for_a_way() -> None:
    """In a body that has more, a comment alone accelerates; resting below it explores."""
    text = "def f(x):\n    # Sort it.\n    \n    return x\n"
    facts = inspect(parse(language_for_id("python"), text), text.index("    \n") + 4)
    assert decide(Signals(facts=facts)).mode is Mode.ACCELERATION
    rested = decide(Signals(facts=facts, rhythm=Rhythm.PAUSE))
    assert (rested.mode, rested.rule) == (Mode.EXPLORATION, "pause-below-comment")


def test_running_out_of_tokens_drops_the_unfinished_line() -> None:
    """Whole lines are kept when time or tokens run out; a first line is all there is."""
    facts = inspect(parse(language_for_id("python"), "if x:\n    "), 10)
    stop = build_stop(facts, Extent.BLOCK, 9)
    middle = "a()\n    b(c, "
    assert stop.n_chars_at_end(middle, is_finished=False) == len("a()")
    assert stop.n_chars_at_end(middle, is_finished=True) == len(middle.rstrip())
    assert stop.n_chars_at_end("b(c, ", is_finished=False) == len("b(c,")


@given(facts=_facts(), trigger=st.sampled_from(Trigger), middle=_TEXTS)
@settings(max_examples=300, deadline=None)
def test_the_length_dial_holds_while_decoding(
    facts: SyntaxFacts, trigger: Trigger, middle: str
) -> None:
    """With `line` no more than a line is ever kept, with `block` no more than a few."""
    decision = decide(Signals(facts=facts, trigger=trigger))
    for length, most in ((Length.LINE, 1), (Length.BLOCK, Limits().max_acceleration_lines)):
        plan = plan_completion(decision, facts, Limits(length=length))
        n_kept = plan.stop.n_chars_to_keep(middle + "\nx" * (most + 3))
        kept = (middle + "\nx" * (most + 3))[:n_kept]
        assert len([line for line in kept.split("\n") if line.strip()]) <= most
        assert n_kept is not None
