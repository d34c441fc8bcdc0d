"""The law of acceleration over whole files: inside a block its siblings stay unwritten.

At a cursor the rest of the innermost block is taken out, or left in, and a model is played that
knows the true continuation and runs on: into the rest of the file, or into a sibling clause. What
is then shown must end with the block, and the file must parse no worse than without it.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from fimble_model.engine.protocol import Finish, FinishReason, GeneratedToken, TokenId
from fimble_server.completion.mode import decide
from fimble_server.completion.page import Page
from fimble_server.completion.plan import Limits, Trigger, plan_completion
from fimble_server.completion.postprocess import Draft, process_finish
from fimble_server.completion.signals import Signals
from fimble_server.document.language import Language
from fimble_server.document.languages import language_for_path
from fimble_server.document.syntax import inspect, parse
from fimble_testing.block_ends import find_block_end, parses_worse

_SAMPLES = sorted((Path(__file__).parents[2] / "golden" / "modes" / "samples").iterdir())
_N_CURSORS = 12

_BRACES = ("}} else {{\n{0}    other();\n{0}}}", "}} catch (e) {{\n{0}    other();\n{0}}}")
_BAITS = {
    "python": ("else:\n{0}    other()", "except E:\n{0}    other()", "elif other:\n{0}    pass"),
    "ruby": ("else\n{0}  other\n{0}end", "rescue E\n{0}  other\n{0}end", "when 7\n{0}  other"),
    "lua": ("else\n{0}  other()\n{0}end", "elseif other then\n{0}  other()\n{0}end"),
    "shellscript": ("else\n{0}  other\n{0}fi", "elif other; then\n{0}  other\n{0}fi"),
}


@dataclass(frozen=True, kw_only=True)
class Spot:
    """A file with a cursor and, in place of the rest of the block, nothing: what the user has.

    `rest` is what the block goes on with there, `after` what a model may write once it is done.
    `is_class` says that the block holds declarations: a half-typed one may parse as another.
    """

    language: Language
    left: str
    right: str
    rest: str
    after: str
    is_class: bool


def spots_at(language: Language, text: str, cursor: int) -> Iterator[Spot]:
    """What may be asked at one cursor of a whole file."""
    parsed = parse(language, text)
    end = find_block_end(parsed, cursor)
    if end is None:
        return
    rest = text[cursor : end.offset].rstrip()
    left, right = text[:cursor], text[cursor + len(rest) :]
    indent = " " * end.column
    baits = [
        f"\n{indent}{bait.format(indent)}\n" for bait in _BAITS.get(language.language_id, _BRACES)
    ]
    for after in (right, *baits):
        yield Spot(
            language=language, left=left, right=right, rest=rest, after=after, is_class=end.is_class
        )
    line_end = text.find("\n", cursor)
    if cursor + len(rest) > line_end >= 0:  # Only the rest of the line is gone.
        yield Spot(
            language=language,
            left=left,
            right=text[line_end:],
            rest=rest,
            after=right,
            is_class=end.is_class,
        )


def shown_at(spot: Spot, trigger: Trigger) -> Draft | None:
    """What is shown of a middle that knows what follows, and does not know where to stop."""
    text = spot.left + spot.right
    cursor = len(spot.left)
    facts = inspect(parse(spot.language, text), cursor)
    plan = plan_completion(decide(Signals(facts=facts, trigger=trigger)), facts, Limits())
    if not plan.wanted:
        return None
    middle = spot.rest + spot.after
    cut = plan.stop.n_chars_to_keep(middle)
    kept = middle if cut is None else middle[:cut]
    finish = Finish(
        reason=FinishReason.END_TOKEN if cut is None else FinishReason.STOP_RULE,
        text=kept,
        tokens=(GeneratedToken(token_id=TokenId(0), logprob=0.0, char_end=len(kept)),),
        n_prompt_tokens=1,
        n_reused_tokens=0,
        queue_ms=0.0,
        prefill_ms=0.0,
        decode_ms=0.0,
    )
    page = Page(text=text, cursor=cursor, buffer_start=cursor, buffer_cursor=cursor)
    done = process_finish(finish, page, plan)
    return done if isinstance(done, Draft) else None


def faults_of(spot: Spot, trigger: Trigger) -> list[str]:
    """What is wrong with what is shown at a spot, in words; empty where nothing is."""
    draft = shown_at(spot, trigger)
    if draft is None:
        return []
    faults = []
    if len(draft.text) > len(spot.rest) and draft.text.rstrip() != spot.rest.rstrip():
        further = draft.text[len(spot.rest) :].strip()
        if draft.n_overwritten_chars == 0 or not spot.right.lstrip().startswith(further or "\0"):
            faults.append("beyond the block")
    before = parse(spot.language, spot.left + spot.right)
    after = parse(spot.language, spot.left + draft.text + spot.right[draft.n_overwritten_chars :])
    is_begun_line = bool(spot.left.rpartition("\n")[2].strip()) and "\n" not in draft.text
    if not spot.is_class and parses_worse(before, after, is_begun=is_begun_line):
        faults.append("parses worse")
    window = f"{spot.left[-160:]}<|>[[{draft.text}]]{spot.right[:80]}"
    return [f"{trigger.value}: {fault}: {window}" for fault in faults]


@pytest.mark.parametrize("path", _SAMPLES, ids=lambda path: path.name)
@pytest.mark.parametrize("trigger", Trigger)
def test_siblings_stay_unwritten_and_the_file_parses(
    path: Path, trigger: Trigger, request: pytest.FixtureRequest
) -> None:
    """At cursors all over the file; at every one of them with `--every-cursor`."""
    language, text = language_for_path(path.name), path.read_text(encoding="ascii")
    cursors = range(len(text))
    if not request.config.getoption("--every-cursor"):
        cursors = sorted(random.Random(len(text)).sample(cursors, k=_N_CURSORS))  # type: ignore[assignment]
    faults = [
        fault
        for cursor in cursors
        for spot in spots_at(language, text, cursor)
        for fault in faults_of(spot, trigger)
    ]
    assert not faults, "\n\n".join(faults[:20])
