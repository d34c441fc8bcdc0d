"""What a Neovim told its user interface to draw: cells with highlights, and the cursor.

Owns the reading of `redraw` events (`:help ui-linegrid`). Talks to nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

__all__ = ["Cell", "Highlight", "Screen"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Highlight:
    """How a cell looks, and the highlight groups that made it so."""

    groups: tuple[str, ...] = ()
    attributes: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One cell. The right half of a wide character is an empty text."""

    text: str = " "
    highlight_id: int = 0


class Screen:
    """Keeps the invariant that `cells` is what a user would see after the last flush."""

    def __init__(self) -> None:
        self.cells: list[list[Cell]] = []
        self.highlights: dict[int, Highlight] = {0: Highlight()}
        self.cursor: tuple[int, int] = (0, 0)
        self.default_colors: tuple[int, int] = (0xFFFFFF, 0x000000)
        self.n_flushes = 0
        self._takers: dict[str, Callable[..., None]] = {
            "grid_resize": self._resize,
            "grid_clear": self._clear,
            "grid_line": self._write_line,
            "grid_scroll": self._scroll,
            "grid_cursor_goto": self._move_cursor,
            "hl_attr_define": self._define_highlight,
            "default_colors_set": self._set_colors,
            "flush": self._flush,
        }

    def take(self, events: Iterable[Sequence[object]]) -> None:
        """Draw one `redraw` notification: a list of `[name, arguments...]`."""
        for name, *calls in events:
            taker = self._takers.get(str(name))
            for arguments in calls if taker else ():
                assert isinstance(arguments, Sequence)
                assert taker is not None
                taker(*arguments)

    def lines(self, *, without: str | None = None) -> list[str]:
        """The rows as text, without the spaces at their ends and a highlight group's cells."""
        return [
            "".join(cell.text for cell in row if without not in self._groups_of(cell)).rstrip()
            for row in self.cells
        ]

    def text_of(self, group: str) -> dict[int, str]:
        """What is drawn in a highlight group, by screen row."""
        found = {}
        for index, row in enumerate(self.cells):
            text = "".join(cell.text for cell in row if group in self._groups_of(cell))
            if text:
                found[index] = text
        return found

    def _groups_of(self, cell: Cell) -> tuple[str, ...]:
        return self.highlights[cell.highlight_id].groups

    def _resize(self, _grid: int, n_columns: int, n_rows: int) -> None:
        self.cells = [[Cell()] * n_columns for _ in range(n_rows)]

    def _clear(self, _grid: int) -> None:
        self.cells = [[Cell()] * len(row) for row in self.cells]

    def _write_line(
        self, _grid: int, row: int, column: int, cells: Sequence[Sequence[object]], _wrap: bool
    ) -> None:
        highlight_id = 0
        for text, *rest in cells:
            if rest:
                highlight_id = int(str(rest[0]))
            for _ in range(int(str(rest[1])) if len(rest) > 1 else 1):
                self.cells[row][column] = Cell(text=str(text), highlight_id=highlight_id)
                column += 1

    def _scroll(
        self, _grid: int, top: int, bottom: int, left: int, right: int, n_rows: int, _columns: int
    ) -> None:
        before = [list(row) for row in self.cells]
        for row in range(top, bottom):
            if top <= row + n_rows < bottom:
                self.cells[row][left:right] = before[row + n_rows][left:right]

    def _move_cursor(self, _grid: int, row: int, column: int) -> None:
        self.cursor = (row, column)

    def _define_highlight(
        self,
        highlight_id: int,
        attributes: Mapping[str, object],
        _terminal: object,
        info: Sequence[Mapping[str, object]],
    ) -> None:
        groups = [str(part.get("hi_name") or part.get("ui_name") or "") for part in info]
        self.highlights[highlight_id] = Highlight(groups=tuple(groups), attributes=attributes)

    def _set_colors(self, foreground: int, background: int, *_: object) -> None:
        self.default_colors = (foreground, background)

    def _flush(self) -> None:
        self.n_flushes += 1
