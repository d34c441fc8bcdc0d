"""Where a benchmark says that an answer ends, beside the model's own end token.

Owns those rules. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass

from fimble_model.engine.protocol import StopRule
from fimble_model.engine.stopping import NeverStop

__all__ = ["StopAfter", "StopBefore", "function_end"]

# HumanEval's own (Chen et al. 2021, section 2.1): what begins another top-level statement.
_PYTHON_ENDS = ("\nclass", "\ndef", "\n#", "\nif", "\nprint")


@dataclass(frozen=True, slots=True)
class StopBefore:
    r"""Ends before the first of some texts.

    >>> StopBefore(("\ndef",)).n_chars_to_keep("    return '😀'\n\ndef f")
    15
    """

    ends: tuple[str, ...]

    def n_chars_to_keep(self, middle: str) -> int | None:
        """None until one of the texts has come."""
        found = [place for end in self.ends if (place := middle.find(end)) >= 0]
        return min(found, default=None)


@dataclass(frozen=True, slots=True)
class StopAfter:
    r"""Ends with the first of a text.

    >>> StopAfter("\n}").n_chars_to_keep("  return 1;\n}\n")
    13
    """

    end: str

    def n_chars_to_keep(self, middle: str) -> int | None:
        """None until the text has come."""
        place = middle.find(self.end)
        return None if place < 0 else place + len(self.end)


def function_end(language: str) -> StopRule:
    """Where the body of one of HumanEval-X's functions ends, from the body's start on."""
    if language == "python":
        return StopBefore(_PYTHON_ENDS)
    if language == "java":
        return StopAfter("\n    }")  # A method; the class's brace is put after it.
    return StopAfter("\n}") if language else NeverStop()
