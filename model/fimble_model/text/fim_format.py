"""What a fill-in-the-middle format is: holes, layouts and orders.

Owns this vocabulary. The families themselves are data in `fim_families`; which of them a
checkpoint is, `fim_matching` finds out.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

__all__ = ["FilesLayout", "FimFormat", "FimOrder", "Hole", "Layout", "Text"]


class FimOrder(enum.Enum):
    """Suffix first (the middle follows the prefix at once), or prefix first."""

    SPM = "spm"
    PSM = "psm"


class Hole(enum.Enum):
    """Where a layout takes the user's text."""

    PREFIX = enum.auto()
    SUFFIX = enum.auto()
    REPOSITORY = enum.auto()
    PATH = enum.auto()
    CODE = enum.auto()


class Text(NamedTuple):
    """Plain text that belongs to a format; encoded as any text is, never a control token."""

    text: str


Part = str | Hole | Text
"""A control token by its string, a hole, or plain text."""

Layout = tuple[Part, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FilesLayout:
    """How a family shows other files of the repository, and the path of the file itself.

    `opening` stands once, `file` once for each other file, `own` before the file itself. All
    stand before the fill-in-the-middle part; with `inside_prefix` they begin its prefix instead,
    for families that mark files by text. `prefix_opening` begins the prefix in any case.
    """

    opening: Layout = ()
    file: Layout = ()
    own: Layout = ()
    prefix_opening: Layout = ()
    inside_prefix: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FimFormat:
    """One family's format. `layouts` holds the preferred order first.

    Any control token ends a row; `end_tokens` are those that the model was trained to end a
    middle with. `begin_token` opens every prompt. `files` is None where the model was not trained
    with other files in its prompt. `prefix_blank` is for SentencePiece models that were trained
    with a blank before the prefix.

    A checkpoint is of this family where config.json says so; where its repository
    is one of `repositories` (beginnings of "owner/name", in lower case); or where its model type
    is among `model_types` and its vocabulary holds the format's tokens and those of `tell_tale`.
    `source` says where the publisher documents the format.
    """

    family: str
    layouts: Mapping[FimOrder, Layout]
    end_tokens: tuple[str, ...]
    source: str
    model_types: tuple[str, ...] = ()
    repositories: tuple[str, ...] = ()
    tell_tale: tuple[str, ...] = ()
    begin_token: str | None = None
    files: FilesLayout | None = None
    prefix_blank: bool = False

    @property
    def orders(self) -> tuple[FimOrder, ...]:
        """The orders the model was trained for, the preferred one first."""
        return tuple(self.layouts)

    @property
    def layout(self) -> Layout:
        """The preferred order's layout."""
        return self.layouts[self.orders[0]]

    def control_strings(self) -> Iterator[str]:
        """Every control token that a prompt in this format may need."""
        layouts = list(self.layouts.values())
        if self.files is not None:
            files = self.files
            layouts += [files.opening, files.file, files.own, files.prefix_opening]
        for layout in layouts:
            yield from (part for part in layout if isinstance(part, str))
        yield from self.end_tokens
        if self.begin_token is not None:
            yield self.begin_token
