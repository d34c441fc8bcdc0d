"""A text with a hole in it, and what somebody wrote there.

Owns the values that every benchmark turns its tasks into. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from fimble_server.document.buffers import Buffer

__all__ = ["Filling", "Hole"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hole:
    """`prefix + middle + suffix` is the text as its author left it.

    Before a model writes, it may read `neighbours`, under the name `memory_scope`, as in an
    editor that has them open; None is no memory at all.
    """

    hole_id: str
    uri: str
    language_id: str
    prefix: str = field(repr=False)
    middle: str = field(repr=False)
    suffix: str = field(repr=False)
    neighbours: tuple[Buffer, ...] = field(default=(), repr=False)
    memory_scope: str | None = None

    @property
    def text(self) -> str:
        """The author's."""
        return self.prefix + self.middle + self.suffix

    def buffer(self) -> Buffer:
        """The text without the middle."""
        return Buffer(
            uri=self.uri, language_id=self.language_id, version=0, text=self.prefix + self.suffix
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Filling:
    """What takes the hole's place, and the characters right of it that it writes over.

    `confidence` is the product of its tokens' probabilities. `reason` says how it ended, or
    why nothing is shown.
    """

    text: str = field(repr=False)
    n_overwritten_chars: int = 0
    n_tokens: int = 0
    confidence: float = 0.0
    reason: str = ""

    def completed(self, hole: Hole) -> str:
        """The text with the filling in the hole."""
        return hole.prefix + self.text + hole.suffix[self.n_overwritten_chars :]

    def is_exact(self, hole: Hole) -> bool:
        """Whether the text is the author's again, letter by letter."""
        return self.completed(hole) == hole.text
