"""A picture of Fimble at work in a real Neovim, with the real server and the shipped model.

    PYTHONPATH=tests python tests/e2e/neovim/take_screenshot.py FILE:LINE KEYS OUT.png

Opens a copy of FILE, goes to the end of LINE, types KEYS (in Neovim's notation) in insert mode,
waits for the ghost text and paints the screen that Neovim drew. Nothing in it is touched up.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import matplotlib
from PIL import Image, ImageDraw, ImageFont

from fimble_testing.neovim_screen import Highlight, Screen
from fimble_testing.neovim_served import start_served

_FONT_FOLDER = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
_FONT_PIXELS = 18
_LINE_PIXELS = 24
_MARGIN_PIXELS = 14


def colors_of(highlight: Highlight, screen: Screen) -> tuple[str, str]:
    """Foreground and background of a cell, as PIL writes colours."""
    foreground, background = (
        int(str(highlight.attributes.get(name, default)))
        for name, default in zip(("foreground", "background"), screen.default_colors, strict=True)
    )
    if highlight.attributes.get("reverse"):
        foreground, background = background, foreground
    return f"#{foreground:06x}", f"#{background:06x}"


def paint(screen: Screen) -> Image.Image:
    """The screen as a picture, with the cursor as a bar."""
    faces = {
        (is_bold, is_italic): ImageFont.truetype(
            str(_FONT_FOLDER / f"DejaVuSansMono{suffix}.ttf"), _FONT_PIXELS
        )
        for is_bold, is_italic, suffix in (
            (False, False, ""),
            (True, False, "-Bold"),
            (False, True, "-Oblique"),
            (True, True, "-BoldOblique"),
        )
    }
    cell_pixels = round(faces[False, False].getlength("M"))
    size = (
        len(screen.cells[0]) * cell_pixels + 2 * _MARGIN_PIXELS,
        len(screen.cells) * _LINE_PIXELS + 2 * _MARGIN_PIXELS,
    )
    image = Image.new("RGB", size, f"#{screen.default_colors[1]:06x}")
    draw = ImageDraw.Draw(image)
    for row, cells in enumerate(screen.cells):
        for column, cell in enumerate(cells):
            highlight = screen.highlights[cell.highlight_id]
            foreground, background = colors_of(highlight, screen)
            x, y = _MARGIN_PIXELS + column * cell_pixels, _MARGIN_PIXELS + row * _LINE_PIXELS
            draw.rectangle((x, y, x + cell_pixels, y + _LINE_PIXELS), fill=background)
            is_bold = bool(highlight.attributes.get("bold"))
            face = faces[is_bold, bool(highlight.attributes.get("italic"))]
            draw.text((x, y + 1), cell.text, font=face, fill=foreground)
    row, column = screen.cursor
    x, y = _MARGIN_PIXELS + column * cell_pixels, _MARGIN_PIXELS + row * _LINE_PIXELS
    draw.rectangle((x, y, x + 1, y + _LINE_PIXELS - 2), fill="#ffffff")
    return image


def main() -> None:
    """Take the picture."""
    place, keys, out = sys.argv[1:]
    source, _, line = place.rpartition(":")
    with tempfile.TemporaryDirectory() as folder:
        child = start_served(Path(folder), Path(source), eagerness=1.0, n_columns=84, n_rows=22)
        try:
            child.lua("vim.o.laststatus, vim.o.cmdheight, vim.o.ruler = 0, 1, false")
            child.command(line)
            child.type("zzA")
            child.type(keys)
            child.wait(child.ghost, what="ghost text", timeout_s=20)
            paint(child.look()).save(out, optimize=True)
            sys.stdout.write("\n".join(child.look().lines()) + "\n")
        finally:
            child.close()


if __name__ == "__main__":
    main()
