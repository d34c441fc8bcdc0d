"""What a model wrote at a cursor and what the file says there: what confidence is fitted on.

Owns the record and its way to a file and back. A record holds all that evidence may be drawn
from, so that it can be drawn anew without typing again.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fimble_model.engine.protocol import Finish, GeneratedToken, TokenId
from fimble_server.completion.cutting import Material, cut_middle
from fimble_server.completion.page import Page, with_line_feeds
from fimble_server.completion.plan import Plan
from fimble_server.errors import FimbleError

__all__ = ["Sample", "read_samples", "sample_of", "write_samples"]

_CHARS_LEFT, _CHARS_RIGHT = 4_000, 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One generation. `left` and `right` are the text around the cursor, as far as it is kept.

    `kept` is what the cuts left of the middle, `logprobs` and `char_ends` its tokens, `truth`
    what the file says from the cursor to the end of what is typed there.
    """

    package: str
    language_id: str
    mode: str
    rule: str
    reason: str
    left: str = field(repr=False)
    right: str = field(repr=False)
    kept: str = field(repr=False)
    logprobs: tuple[float, ...]
    char_ends: tuple[int, ...]
    truth: str = field(repr=False)

    @property
    def page(self) -> Page:
        """The text around the cursor as a page."""
        return Page(
            text=self.left + self.right,
            cursor=len(self.left),
            buffer_start=len(self.left),
            buffer_cursor=len(self.left),
        )

    @property
    def tokens(self) -> tuple[GeneratedToken, ...]:
        """The tokens, without their names."""
        return tuple(
            GeneratedToken(token_id=TokenId(0), logprob=logprob, char_end=char_end)
            for logprob, char_end in zip(self.logprobs, self.char_ends, strict=True)
        )


def sample_of(
    *, page: Page, plan: Plan, finish: Finish, package: str, language_id: str, truth: str
) -> Sample:
    """The record of one generation."""
    middle = with_line_feeds(finish.text)
    kept = cut_middle(middle, Material(page=page, plan=plan, reason=finish.reason)).text
    return Sample(
        package=package,
        language_id=language_id,
        mode=plan.mode.value,
        rule=plan.rule,
        reason=finish.reason.value,
        left=page.text[max(0, page.cursor - _CHARS_LEFT) : page.cursor],
        right=page.text[page.cursor : page.cursor + _CHARS_RIGHT],
        kept=kept,
        logprobs=tuple(round(token.logprob, 5) for token in finish.tokens),
        char_ends=tuple(token.char_end for token in finish.tokens),
        truth=truth[: len(kept) + 64],
    )


def write_samples(path: Path, samples: Iterable[Sample]) -> None:
    """One JSON line each."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = (json.dumps(dataclasses.asdict(sample)) for sample in samples)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def read_samples(paths: Sequence[Path]) -> tuple[Sample, ...]:
    """All records of some files. Raises `FimbleError` where a line is of another shape."""
    found: list[Sample] = []
    for path in paths:
        try:
            for line in path.read_text(encoding="utf-8").splitlines():
                values: dict[str, Any] = json.loads(line)
                values["logprobs"] = tuple(values["logprobs"])
                values["char_ends"] = tuple(values["char_ends"])
                found.append(Sample(**values))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise FimbleError(
                expected="a file that `fimble-eval replay --collect` wrote",
                found=f"{type(error).__name__} in {path.name}",
                to_do="Collect it again.",
            ) from error
    return tuple(found)
