"""The parts of the product that a replay can do without, by name, to see what each is good for.

Owns the names and how each is left out. What the completer itself can do without is named there,
and so are the sources; memory, all pieces in the prompt, and healing are left out around it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from fimble_model.engine.protocol import (
    ModelInfo,
    Prompt,
    Request,
    Surroundings,
    TextCodec,
    TokenId,
)
from fimble_server.completion.engine_port import Job
from fimble_server.completion.parts import COMPLETER_PARTS
from fimble_server.context.sources import SOURCE_NAMES
from fimble_server.errors import FimbleError

__all__ = ["PART_NAMES", "STEP_NAMES", "check_parts", "without_healing"]

_AROUND_COMPLETER = ("memory", *SOURCE_NAMES, "pieces", "healing")
_BESIDE_STEPS = ("reuse", "join", "ahead", "refusals")
STEP_NAMES = frozenset(COMPLETER_PARTS) - frozenset(_BESIDE_STEPS)
PART_NAMES: tuple[str, ...] = (*_AROUND_COMPLETER, *COMPLETER_PARTS)


def check_parts(names: Sequence[str]) -> frozenset[str]:
    """The names as a set. Raises `FimbleError` for one that is no part."""
    for name in names:
        if name not in PART_NAMES:
            raise FimbleError(
                expected=f"a part's name: {', '.join(PART_NAMES)}",
                found=repr(name),
                to_do="Name one of these with --without.",
            )
    return frozenset(names)


def without_healing(job: Job) -> Job:
    """The same job, whose prompts end where the cursor is, in the middle of a word or not."""

    def build(codec: TextCodec, model: ModelInfo) -> tuple[Request, ...]:
        return job.build(_UnhealedCodec(codec), model)

    return dataclasses.replace(job, build=build)


class _UnhealedCodec:
    """Implements `TextCodec`; the healed text goes back onto the ids.

    NOTE: right for formats whose prompt ends with the prefix, as the shipped models' does.
    """

    def __init__(self, codec: TextCodec) -> None:
        self._codec = codec

    def encode(self, text: str) -> list[TokenId]:
        return self._codec.encode(text)

    def decode(self, token_ids: Sequence[TokenId]) -> str:
        return self._codec.decode(token_ids)

    @property
    def shows_files(self) -> bool:
        return self._codec.shows_files

    def encode_fim(
        self, *, prefix: str, suffix: str, surroundings: Surroundings | None = None
    ) -> Prompt:
        prompt = self._codec.encode_fim(prefix=prefix, suffix=suffix, surroundings=surroundings)
        if not prompt.healing_text:
            return prompt
        healed_ids = tuple(self._codec.encode(prompt.healing_text))
        return dataclasses.replace(
            prompt,
            token_ids=prompt.token_ids + healed_ids,
            healing_text="",
            context_ids=prompt.context_ids + healed_ids,
        )
