"""Laws of a replay: the file comes out as it was, only what is right is taken, seeds decide all."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fimble_eval.replay.course import Course, replay
from fimble_eval.replay.figures import sum_up
from fimble_eval.replay.parts import PART_NAMES, check_parts
from fimble_eval.replay.person import Person, Policy, take
from fimble_eval.replay.picture import draw_ablation
from fimble_eval.replay.places import SourceFile, choose_files, places_in
from fimble_eval.replay.report import to_csv, to_markdown
from fimble_eval.replay.screen import Screen
from fimble_eval.replay.simulation import SimulatedClock
from fimble_eval.replay.typist import Typed
from fimble_eval.replay.verb import course_to_json
from fimble_eval.replay.written_before import WrittenBefore
from fimble_server.completion.answer import Suggestion
from fimble_server.completion.cutting import CUTS
from fimble_server.completion.postprocess import HIDINGS, REWRITES
from fimble_server.errors import FimbleError
from fimble_testing.fake_engine import FakeEngine, Prompted

_TEXT = "".join(
    f"def name_{index}(first, second):\n    total = first + second\n    return total * {index}\n\n"
    for index in range(12)
)
_FILE = SourceFile(name="pack/a.py", package="pack", language_id="python", text=_TEXT)
_OTHER = dataclasses.replace(_FILE, name="pack/b.py")
_WORDS = st.lists(st.sampled_from(["foo", "bar", " ", "(", ")", "\n", "=", "😀"])).map("".join)


def _oracle(prompted: Prompted) -> str:
    """What the file says next, from the text before the cursor."""
    assert _TEXT.count(prompted.prefix) == 1, "the window tells the place"
    return _TEXT[_TEXT.index(prompted.prefix) + len(prompted.prefix) :]


def _replay(engine: FakeEngine, **changes: object) -> tuple[Typed, ...]:
    course = dataclasses.replace(Course(n_files=1, n_keys=240), **changes)  # type: ignore[arg-type]
    return replay((_FILE, _OTHER), engine, course, clock=SimulatedClock())


def _suggestion(text: str) -> Suggestion:
    return Suggestion(suggestion_id="s", text=text, start=0, end=0, confidence=1.0)


@given(shown=_WORDS, truth=_WORDS, policy=st.sampled_from(Policy))
def test_what_is_taken_is_what_the_file_says(shown: str, truth: str, policy: Policy) -> None:
    """And it saves a key, and the next character is not the rest of a cut word."""
    taken = take(shown, truth, policy)
    assert truth.startswith(shown[: taken.n_chars])
    assert taken.n_chars == 0 or taken.n_chars > taken.n_presses
    around = truth[: taken.n_chars][-1:] + truth[taken.n_chars :][:1]
    assert len(around) < 2 or not (taken.n_chars and around.isalnum())


@given(truth=_WORDS)
def test_checking_lines_takes_no_more_than_checking_words(truth: str) -> None:
    for end in range(len(truth)):
        shown = truth[:end] + "wrong"
        by_line = take(shown, truth, Policy.LINE)
        n_by_word = take(shown, truth, Policy.WORD).n_chars
        assert len(shown[: by_line.n_chars].rstrip()) <= n_by_word


@pytest.mark.parametrize("policy", list(Policy))
def test_a_model_that_knows_the_file_saves_most_of_it(policy: Policy) -> None:
    figures = sum_up(_replay(FakeEngine(_oracle), policy=policy))
    assert figures.kept_share == 1.0
    assert figures.vain_chars == 0
    assert figures.saved_share > 0.5
    assert figures.keys + figures.saved_chars <= figures.chars


def test_a_model_that_is_always_wrong_saves_nothing() -> None:
    figures = sum_up(_replay(FakeEngine(lambda _: "§ never so")))
    assert figures.shown > 0
    assert (figures.kept, figures.saved_chars, figures.kept_share) == (0, 0, 0.0)
    assert figures.vain_chars == figures.shown_chars


def test_one_seed_gives_one_replay() -> None:
    """But for the milliseconds of this machine."""

    def course_of(seed: int) -> list[tuple[str, float, list[str]]]:
        return [
            (each.place.name, each.simulated_ms, [showing.text for showing in each.showings])
            for each in _replay(FakeEngine(_oracle), seed=seed)
        ]

    assert course_of(1) == course_of(1)
    assert course_of(1) != course_of(2)


def test_what_was_written_before_changes_no_replay() -> None:
    """The second time the engine writes nothing, and the course is the same."""
    written = WrittenBefore()
    courses, n_requests = [], []
    for _ in range(2):
        engine = FakeEngine(_oracle)
        course = Course(n_files=1, n_keys=240)
        typed = replay((_FILE, _OTHER), engine, course, clock=SimulatedClock(), written=written)
        n_requests.append(len(engine.requests))
        courses.append(
            [(each.simulated_ms, [showing.text for showing in each.showings]) for each in typed]
        )
    assert courses[0] == courses[1]
    assert n_requests[0] > n_requests[1] == 0


def test_every_character_is_typed_or_taken() -> None:
    for typed in _replay(FakeEngine(lambda prompted: _oracle(prompted)[:30] + "§")):
        n_taken = sum(showing.n_taken for showing in typed.showings)
        n_by_keys = typed.n_chars - n_taken
        # Enter brings its indentation along, so that a key may type more than one character.
        assert typed.n_keys <= n_by_keys
        assert all(
            showing.rest == showing.text[-len(showing.rest) :] or not showing.rest
            for showing in typed.showings
        )


def test_without_reuse_the_model_is_asked_at_every_key() -> None:
    asked = [
        request
        for typed in _replay(FakeEngine(lambda _: "§§§§§"), without=frozenset({"reuse"}))
        for request in typed.asked
    ]
    assert all(each.answer is None or each.answer.source != "reuse" for each in asked)


def test_an_unknown_part_is_refused() -> None:
    with pytest.raises(FimbleError, match="a part's name"):
        check_parts(["luck"])


def test_every_step_of_post_processing_can_be_left_out() -> None:
    assert len(set(PART_NAMES)) == len(PART_NAMES)
    assert {*CUTS, *HIDINGS, *REWRITES} <= set(PART_NAMES)


def test_ghost_text_goes_on_is_lengthened_swapped_or_vanishes() -> None:
    screen = Screen()
    how = {"mode": "acceleration", "rule": "mid-line", "source": "model"}
    assert screen.answer(_suggestion("foo(a)"), **how)
    screen.type("f")
    assert not screen.answer(_suggestion("oo(a)"), **how)
    assert screen.answer(_suggestion("oo(a).bar"), **how)
    assert (screen.n_swaps, screen.n_vanished) == (0, 0)
    assert screen.answer(_suggestion("other"), **how)
    assert not screen.answer(None, **how)
    assert (screen.n_swaps, screen.n_vanished) == (1, 1)
    first, second = screen.ended
    assert (first.text, first.n_typed, first.n_vain_chars) == ("foo(a).bar", 1, 9)
    assert (second.n_typed, second.n_vain_chars) == (0, 5)


def test_typing_another_character_ends_what_is_shown() -> None:
    screen = Screen()
    screen.answer(_suggestion("foo"), mode="m", rule="r", source="model")
    screen.type("x")
    assert screen.now is None
    assert screen.n_swaps == screen.n_vanished == 0


@given(seed=st.integers(0, 5), offset=st.integers(0, 80))
def test_a_rhythm_is_the_same_whatever_else_happens(seed: int, offset: int) -> None:
    person = Person(seed=seed, policy=Policy.LINE)
    gap_ms = person.gap_ms(_TEXT, offset, "a")
    assert 10.0 < gap_ms < 10_000.0
    assert gap_ms == person.gap_ms(_TEXT, offset, "a")


def test_files_are_chosen_from_every_package_and_language() -> None:
    sources = [
        dataclasses.replace(_FILE, name=f"{package}/{index}", package=package, language_id=language)
        for package in ("one", "two")
        for language in ("python", "go")
        for index in range(5)
    ]
    chosen = choose_files(sources, n_files=4, seed=0)
    assert len({(each.package, each.language_id) for each in chosen}) == 4
    assert len(choose_files(sources, n_files=99, seed=0)) == len(sources)


def test_a_file_is_typed_inside_and_at_its_end() -> None:
    inside, at_end = places_in(_FILE, n_chars=100)
    assert (inside.is_at_end, at_end.is_at_end) == (False, True)
    assert inside.spot.start + len(inside.spot.text) <= at_end.spot.start


def test_tables_and_pictures_hold_each_part(tmp_path: Path) -> None:
    whole = sum_up(_replay(FakeEngine(_oracle)))
    rows = {"all": whole, "without luck": dataclasses.replace(whole, saved_share=0.1)}
    draw_ablation(rows, tmp_path / "ablation.png")
    assert (tmp_path / "ablation.png").stat().st_size > 1_000
    assert to_csv(rows).splitlines()[1].startswith("all,")
    assert to_markdown(rows).splitlines()[2].startswith("| all | ")


def test_a_course_can_be_written_down() -> None:
    """With every dial that limits may have."""
    stated = course_to_json(Course(without=frozenset({"reuse", "ahead"})))
    assert json.loads(json.dumps(stated))["without"] == ["ahead", "reuse"]
    assert stated["policy"] == "line"
