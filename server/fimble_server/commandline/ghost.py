"""Draws a completion in a terminal: the code around the cursor, the ghost text dim in its place.

Owns looks only: what to show was decided before.
"""

from __future__ import annotations

import re
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.syntax import Syntax
from rich.terminal_theme import MONOKAI
from rich.text import Text

from fimble_server.completion.answer import Answer, Suggestion
from fimble_server.completion.snapshot import Snapshot
from fimble_server.errors import FimbleError

__all__ = ["draw_answer", "draw_explanation", "save_picture"]

_N_LINES_BEFORE = 4
_N_LINES_AFTER = 2
_GHOST_STYLE = "italic bright_black"
_CURSOR = "▏"


def draw_answer(answer: Answer, *, snapshot: Snapshot, where: str) -> RenderableType:
    """The first suggestion in its surroundings, and one line of mode, rule and milliseconds.

    `where` heads the drawing.
    """
    suggestion = answer.suggestions[0] if answer.suggestions else None
    parts: list[RenderableType] = [
        Text(where, style="bold"),
        Padding(_draw_code(snapshot, suggestion), (0, 0, 0, 2)),
        _draw_verdict(answer),
    ]
    parts.extend(
        Padding(Text.assemble(("or  ", "bold"), (other.text, _GHOST_STYLE)), (0, 0, 0, 2))
        for other in answer.suggestions[1:]
    )
    return Padding(Group(*parts), (0, 0, 1, 0))


def _draw_code(snapshot: Snapshot, suggestion: Suggestion | None) -> Text:
    """Some lines around the cursor with the suggestion in place, coloured as code."""
    text, cursor = snapshot.buffer.text, snapshot.cursor
    start = suggestion.start if suggestion else cursor
    end = suggestion.end if suggestion else cursor
    ghost = suggestion.text[cursor - start :] if suggestion else ""
    before = text[_nth_line_start_before(text, cursor, _N_LINES_BEFORE) : cursor]
    after = text[end : _nth_line_end_after(text, end, _N_LINES_AFTER)]
    before, ghost, after = (_plain_lines(part) for part in (before, ghost, after))
    lexer = Syntax.guess_lexer(snapshot.path, text)
    drawn = Syntax("", lexer, theme="ansi_dark").highlight(before + ghost + after)
    drawn.stylize(_GHOST_STYLE, len(before), len(before) + len(ghost))
    left, right = drawn.divide([len(before)])
    return Text.assemble(left, (_CURSOR, "bold magenta"), right)


def _plain_lines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n").expandtabs(4)


def _nth_line_start_before(text: str, offset: int, n_lines: int) -> int:
    for _ in range(n_lines + 1):
        offset = text.rfind("\n", 0, offset)
        if offset < 0:
            return 0
    return offset + 1


def _nth_line_end_after(text: str, offset: int, n_lines: int) -> int:
    for _ in range(n_lines + 1):
        offset = text.find("\n", offset + 1) if offset < len(text) else -1
        if offset < 0:
            return len(text)
    return offset


def _draw_verdict(answer: Answer) -> Text:
    """Mode, rule, confidence, milliseconds; or why there is nothing."""
    verdict = Text.assemble(
        ("  → ", "bold"),
        (answer.plan.mode.value, "cyan"),
        f" · {answer.plan.rule} · ",
        (f"{answer.timing.total_ms:.0f} ms", "green"),
    )
    if answer.suggestions:
        confidence = answer.suggestions[0].confidence
        verdict.append(f" · {confidence:.0%} sure" if confidence >= 0.01 else " · hardly sure")
    elif answer.hidden:
        verdict.append(f" · nothing shown: {answer.hidden[0].reason}", "yellow")
    else:
        verdict.append(" · nothing to suggest here", "yellow")
    return verdict


def draw_explanation(answer: Answer) -> RenderableType:
    """Everything that was decided and what it cost, line by line."""
    plan, tokens, timing = answer.plan, answer.tokens, answer.timing
    lines = [
        f"mode        {plan.mode.value}, by the rule {plan.rule!r}",
        f"plan        at most {plan.max_lines} lines, {plan.max_new_tokens} tokens, "
        f"{plan.deadline_ms:.0f} ms; shown from {plan.min_confidence:.0%} on",
        f"answer      from {answer.source}",
        f"tokens      {tokens.prompt} in the prompt, {tokens.reused} of them reused, "
        f"{tokens.generated} generated",
        f"time        {timing.queue_ms:.1f} ms queue, {timing.prefill_ms:.1f} ms prefill, "
        f"{timing.decode_ms:.1f} ms decode, {timing.total_ms:.1f} ms in all",
        *(
            f"context     {piece.source} {piece.path}, "
            + ("in the memory" if piece.is_remembered else f"{piece.n_tokens} tokens")
            for piece in answer.context
        ),
        *_describe_left_out(answer),
        *(f"step        {note.step}: {note.effect}" for note in answer.steps),
        *(
            f"hidden      {hidden.text!r}: {hidden.reason} ({hidden.step})"
            for hidden in answer.hidden
        ),
    ]
    if answer.model is not None:
        model = answer.model
        lines.append(f"model       {model.name}, {model.dtype} on {model.device}")
    return Padding(Text("\n".join(lines), style="dim"), (0, 0, 1, 2))


def _describe_left_out(answer: Answer) -> list[str]:
    """That the file was cut to fit the model's context, where it was."""
    return [
        f"left out    {piece.left_out.n_lines_before} lines before the cursor "
        f"({piece.left_out.n_chars_before} characters), {piece.left_out.n_lines_after} after it "
        f"({piece.left_out.n_chars_after}): the prompt had no room"
        for piece in answer.context
        if piece.left_out
    ]


def save_picture(console: Console, path: Path) -> None:
    """Write what a recording console printed as an SVG that loads nothing from elsewhere.

    Raises `FimbleError` where the file cannot be written.
    """
    svg = console.export_svg(title="fimble complete", theme=MONOKAI)
    svg = re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL)
    try:
        path.write_text(svg, encoding="utf-8")
    except OSError as error:
        raise FimbleError(
            expected="a file that can be written",
            found=f"{path} ({error.strerror})",
            to_do="Name another path for the picture.",
        ) from error
