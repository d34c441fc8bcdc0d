"""What is shown of what a model wrote: golden cases, and the laws that hold for any text."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fimble_model.engine.protocol import FinishReason
from fimble_model.engine.stopping import NeverStop
from fimble_server.completion.answer import Hidden
from fimble_server.completion.page import page_of
from fimble_server.completion.plan import Mode, Plan
from fimble_server.completion.postprocess import Draft, confidence_of, process
from fimble_testing.fake_engine import finish_of
from fimble_testing.marked_text import parse_marked, show_insertion, snapshot_of

GOLDEN = Path(__file__).parents[2] / "golden" / "postprocess"
_SIGNS = {"␍": "\r", "␀": "\0"}


def make_plan(*, max_lines: int = 20, min_confidence: float = 0.0) -> Plan:
    return Plan(
        mode=Mode.ACCELERATION,
        rule="test",
        wanted=True,
        max_lines=max_lines,
        max_new_tokens=100,
        stop=NeverStop(),
        n_candidates=1,
        deadline_ms=100.0,
        min_confidence=min_confidence,
    )


@dataclass(kw_only=True)
class _Case:
    name: str
    sections: dict[str, str] = field(default_factory=dict)

    def option(self, name: str, default: str) -> str:
        lines = self.sections.get("plan", "").split("\n")
        return dict(line.split("=", 1) for line in lines if line).get(name, default)


def _cases() -> list[_Case]:
    cases: list[_Case] = []
    for path in sorted(GOLDEN.glob("*.txt")):
        for written in path.read_text(encoding="utf-8").split("=== ")[1:]:
            name, _, body = written.partition("\n")
            case = _Case(name=f"{path.stem}: {name}")
            for section in body.removesuffix("\n\n").removesuffix("\n").split("--- ")[1:]:
                kind, _, text = section.partition("\n")
                for sign, meant in _SIGNS.items():
                    text = text.replace(sign, meant)
                is_last = kind in ("shown", "hidden")
                case.sections[kind] = text if is_last else text.removesuffix("\n")
            cases.append(case)
    return cases


def check(case: _Case) -> tuple[str, str]:
    """The section that the case ought to end with, as it really ends."""
    snapshot = snapshot_of(case.sections["buffer"])
    plan = make_plan(
        max_lines=int(case.option("max_lines", "20")),
        min_confidence=float(case.option("min_confidence", "0")),
    )
    finish = finish_of(
        case.sections["model"],
        logprob=float(case.option("logprob", "-0.001")),
        reason=FinishReason(case.option("reason", "stop_rule")),
    )
    page = page_of(snapshot)
    drafts = process([finish], page, plan)
    if not drafts.shown:
        return "hidden", drafts.hidden[0].reason
    shown = show_insertion(
        snapshot.buffer.text,
        start=snapshot.cursor,
        end=snapshot.cursor + drafts.shown[0].n_overwritten_chars,
        inserted=drafts.shown[0].text.replace("\n", page.line_break),
    )
    return "shown", shown


@pytest.mark.parametrize("case", _cases(), ids=lambda case: case.name)
def test_golden_case(case: _Case) -> None:
    kind, text = check(case)
    assert kind in case.sections, f"ended as {kind}: {text}"
    assert text == case.sections[kind]


MIDDLES = st.text(alphabet="ab ()[]{}\"':;,\n", max_size=14)
RIGHTS = st.text(alphabet="ab ()[]{}\"':;,", max_size=8)


def _own_closers(text: str) -> set[int]:
    """Slow and obvious: cross out pairs until none is left; the places crossed out."""
    crossed: set[int] = set()
    for index, sign in enumerate(text):
        if sign in ")]}":
            opener = "([{"[")]}".index(sign)]
            left = [at for at in range(index) if at not in crossed and text[at] in "([{"]
            if left and text[left[-1]] == opener:
                crossed |= {left[-1], index}
    for quote in "\"'":
        places = [index for index, sign in enumerate(text) if sign == quote]
        crossed |= set(places[: len(places) - len(places) % 2])
    return crossed


def _repeats(text: str, right: str) -> bool:
    """True where the text's end is the beginning of `right`.

    Its own closers apart, and the end of a longer word: `shape` before `else` repeats no `e`.
    """
    body, ahead = text.rstrip(), right.strip()
    own = _own_closers(body)
    for n_chars in range(1, min(len(body), len(ahead)) + 1):
        is_own = any(index in own for index in range(len(body) - n_chars, len(body)))
        cuts_word = body[-n_chars - 1 : len(body) - n_chars + 1].isalnum() and n_chars < len(body)
        if body.endswith(ahead[:n_chars]) and not is_own and not cuts_word:
            return True
    return False


@given(MIDDLES, RIGHTS)
def test_what_is_shown_never_repeats_what_stands_right_of_it(middle: str, right: str) -> None:
    page = page_of(snapshot_of(f"x = <|>{right}\ny"))
    for draft in process([finish_of(middle)], page, make_plan()).shown:
        assert not _repeats(draft.text, right[draft.n_overwritten_chars :])


@given(MIDDLES, RIGHTS)
def test_what_is_written_over_stands_in_the_text_in_the_same_order(middle: str, right: str) -> None:
    """Editors show a suggestion over other text only where it holds that text."""
    page = page_of(snapshot_of(f"x = <|>{right}\ny"))
    for draft in process([finish_of(middle)], page, make_plan()).shown:
        rest = iter(draft.text)
        assert all(sign in rest for sign in right[: draft.n_overwritten_chars])


@given(st.text(alphabet="a\n\r\0\x1b\ud83d\ufffd😀 ", max_size=12))
def test_no_half_character_is_ever_shown(middle: str) -> None:
    page = page_of(snapshot_of("x = <|>"))
    for draft in process([finish_of(middle)], page, make_plan()).shown:
        assert draft.text.encode().decode().isprintable() or "\n" in draft.text
        assert "\ufffd" not in draft.text


@given(MIDDLES, RIGHTS)
def test_what_is_shown_begins_like_what_was_written(middle: str, right: str) -> None:
    """Nothing is made up: the steps leave out, they do not write."""
    page = page_of(snapshot_of(f"x = <|>{right}\ny"))
    for draft in process([finish_of(middle)], page, make_plan()).shown:
        lines = zip(draft.text.split("\n"), middle.split("\n"), strict=False)
        assert all(written.startswith(shown) for shown, written in lines)


def test_confidence_is_the_product_over_what_is_kept() -> None:
    tokens = finish_of("ab", logprob=math.log(0.5)).tokens
    unsure = finish_of("abc", logprob=math.log(0.01)).tokens[2:]
    assert confidence_of((*tokens, *unsure), 2) == pytest.approx(0.25)
    assert confidence_of((*tokens, *unsure), 3) == pytest.approx(0.25 * 0.01)


@pytest.mark.parametrize("logprob", [math.nan, -math.inf, 3.0])
def test_confidence_is_a_probability_whatever_the_engine_says(logprob: float) -> None:
    assert 0.0 < confidence_of(finish_of("ab", logprob=logprob).tokens, 2) <= 1.0


def test_of_equal_candidates_one_is_shown() -> None:
    page = page_of(snapshot_of("x = <|>"))
    finishes = [finish_of("100"), finish_of("100 "), finish_of("200")]
    drafts = process(finishes, page, make_plan())
    assert [draft.text for draft in drafts.shown] == ["100", "200"]
    assert drafts.hidden == (
        Hidden(text="100", reason="the same as another candidate", step="candidates"),
    )


def test_a_draft_at_the_start_and_the_end_of_a_text() -> None:
    for marked in ("<|>", "<|>x", "x<|>"):
        page = page_of(snapshot_of(marked))
        assert page.cursor == parse_marked(marked).cursor
        assert isinstance(process([finish_of("abc")], page, make_plan()).shown[0], Draft)
