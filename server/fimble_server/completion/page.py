r"""A snapshot's text as models know text: every line ends in `\n`, the selected item is in it.

Owns the way there and back for what stands around the cursor. Everything between the snapshot
and the answer works on pages, so that line ends are dealt with in this one place.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from fimble_server.completion.snapshot import Snapshot

__all__ = ["Page", "page_of", "with_line_feeds"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Text with `\\n` line ends, and the cursor in it as a character offset.

    `selected` is the text of the suggest list's item: it stands left of the cursor as if the
    user had taken it. `line_break` is what a new line needs in the buffer. In the buffer, the
    cursor is at `buffer_cursor`, and a suggestion replaces text from `buffer_start` on.
    """

    text: str = field(repr=False)
    cursor: int
    line_break: str = "\n"
    selected: str = field(default="", repr=False)
    buffer_start: int
    buffer_cursor: int

    @property
    def line_left(self) -> str:
        """The cursor's line up to the cursor."""
        return self.text[self.text.rfind("\n", 0, self.cursor) + 1 : self.cursor]

    @property
    def line_right(self) -> str:
        """The cursor's line from the cursor on."""
        return self.text[self.cursor : self.line_end]

    @property
    def line_end(self) -> int:
        """The character offset where the cursor's line ends."""
        line_end = self.text.find("\n", self.cursor)
        return len(self.text) if line_end < 0 else line_end

    def lines_below(self, n_lines: int) -> list[str]:
        """The next lines that hold something besides blanks, at most `n_lines`."""
        found: list[str] = []
        start = self.line_end + 1
        while len(found) < n_lines and start < len(self.text):
            end = self.text.find("\n", start)
            end = len(self.text) if end < 0 else end
            line = self.text[start:end]
            if line.strip():
                found.append(line)
            start = end + 1
        return found

    def has_other_line(self, line: str) -> bool:
        """True where another line than the cursor's is this one, but for blanks at its end."""
        start = self.text.find(line)
        while start >= 0:
            end = self.text.find("\n", start)
            end = len(self.text) if end < 0 else end
            is_whole = start == 0 or self.text[start - 1] == "\n"
            is_cursor_line = start <= self.cursor <= end
            if is_whole and not is_cursor_line and self.text[start:end].rstrip() == line:
                return True
            start = self.text.find(line, start + 1)
        return False

    def line_above(self) -> str | None:
        """The nearest line above that holds something besides blanks."""
        end = self.text.rfind("\n", 0, self.cursor)
        while end >= 0:
            start = self.text.rfind("\n", 0, end) + 1
            if self.text[start:end].strip():
                return self.text[start:end]
            end = start - 1
        return None


def page_of(snapshot: Snapshot) -> Page:
    """The page of a snapshot. A cursor outside the text, or between CR and LF, is moved."""
    text = snapshot.buffer.text
    cursor = min(max(0, snapshot.cursor), len(text))
    if text[cursor - 1 : cursor + 1] == "\r\n":
        cursor -= 1
    selected, start = "", cursor
    if snapshot.selected_text:
        selected = with_line_feeds(snapshot.selected_text)
        if snapshot.selected_start is not None:
            start = min(max(0, snapshot.selected_start), cursor)
    left, right = with_line_feeds(text[:start]) + selected, text[cursor:]
    return Page(
        text=text if not selected and "\r" not in text else left + with_line_feeds(right),
        cursor=len(left),
        line_break=snapshot.buffer.line_break_at(cursor),
        selected=selected,
        buffer_start=start,
        buffer_cursor=cursor,
    )


def with_line_feeds(text: str) -> str:
    r"""The text with every `\r\n` and lone `\r` made `\n`."""
    if "\r" not in text:
        return text
    return text.replace("\r\n", "\n").replace("\r", "\n")
