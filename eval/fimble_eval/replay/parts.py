"""The parts of the product that a replay can do without, by name, to see what each is good for.

Owns the names and how each is left out. What the completer itself can do without is named there;
memory and healing are left out here, around it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from fimble_model.engine.protocol import Delta, Engine, ModelInfo, Prompt, TextCodec
from fimble_server.completion.parts import COMPLETER_PARTS
from fimble_server.errors import FimbleError

__all__ = ["PART_NAMES", "check_parts", "without_healing"]

_AROUND_COMPLETER = ("memory", "neighbours", "healing")
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


def without_healing(engine: Engine) -> Engine:
    """The same engine, whose prompts end where the cursor is, in the middle of a word or not."""
    return _UnhealedEngine(engine)


class _UnhealedCodec:
    """Implements `TextCodec`; the healed text goes back onto the ids.

    NOTE: right for formats whose prompt ends with the prefix, as the shipped models' does.
    """

    def __init__(self, codec: TextCodec) -> None:
        self._codec = codec
        self.encode, self.decode = codec.encode, codec.decode

    def encode_fim(self, *, prefix: str, suffix: str) -> Prompt:
        prompt = self._codec.encode_fim(prefix=prefix, suffix=suffix)
        if not prompt.healing_text:
            return prompt
        healed_ids = tuple(self._codec.encode(prompt.healing_text))
        return dataclasses.replace(
            prompt,
            token_ids=prompt.token_ids + healed_ids,
            healing_text="",
            context_ids=prompt.context_ids + healed_ids,
        )


class _UnhealedEngine:
    """Implements `Engine` over another one."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.codec: TextCodec = _UnhealedCodec(engine.codec)
        self.add, self.cancel = engine.add, engine.cancel
        self.remember, self.forget = engine.remember, engine.forget

    @property
    def model(self) -> ModelInfo:
        return self._engine.model

    @property
    def has_work(self) -> bool:
        return self._engine.has_work

    def step(self) -> list[Delta]:
        return self._engine.step()
