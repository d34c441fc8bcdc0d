"""Type real files in a real Neovim at a person's pace, and write down what was shown, worst first.

    PYTHONPATH=tests python tests/e2e/neovim/type_for_long.py FILE... --minutes 15 --out SHOWN.jsonl

Each file is typed for `--minutes` in its own Neovim with the real server and its settings as they
ship. The person is the replays' own (`fimble_eval.replay.person`): pauses, looks, and takes the
next line where it is what the file says. One JSON line a suggestion that stood long enough to be
read; at the end the wrong ones are printed, longest first.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from fimble_eval.replay.person import Person, Policy, take
from fimble_eval.typing_replay import Spot, plan_spots
from fimble_testing.neovim_child import NeovimChild
from fimble_testing.neovim_served import start_served

_SPOT_CHARS = 400
_KEY_NAMES = {" ": "<Space>", "<": "<lt>", "\t": "<Tab>", "\\": "<Bslash>", "|": "<Bar>"}
_SHOWN = "local view = require('fimble.offer').view() return view and view.rest or ''"
_READABLE_TRUTH_CHARS = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """One suggestion that a person had the time to read. `before` is the line up to the cursor."""

    file: str
    line: int
    before: str
    shown: str
    truth: str
    n_taken: int


class Typist:
    """Types one file's spots until the time is over."""

    def __init__(self, child: NeovimChild, source: Path, person: Person, out: TextIO) -> None:
        self.reads: list[Read] = []
        self._child = child
        self._source = source
        self._text = source.read_text(encoding="utf-8")
        self._person = person
        self._out = out

    def type_until(self, end_s: float) -> int:
        """Type spot after spot; how many characters came in, by keys or by acceptance."""
        n_chars = 0
        n_spots = max(1, len(self._text) // (2 * _SPOT_CHARS))
        spots = plan_spots(self._text, n_spots=n_spots, n_chars=_SPOT_CHARS)
        for spot in spots:
            self._cut_out(spot)
            for n_more in self._type_spot(spot):
                n_chars += n_more
                if time.monotonic() > end_s:
                    return n_chars
        return n_chars

    def _cut_out(self, spot: Spot) -> None:
        before, after = self._text[: spot.start], self._text[spot.start + len(spot.text) :]
        child = self._child
        child.type("<Esc>")
        child.lua("vim.api.nvim_buf_set_lines(0, 0, -1, true, ...)", (before + after).split("\n"))
        child.lua("vim.bo.autoindent, vim.bo.indentexpr, vim.bo.cindent = false, '', false")
        child.type("i")
        # Only while inserting may the cursor stand past a line's last character.
        child.wait(lambda: child.mode == "i", what="insert mode")
        row, column = before.count("\n") + 1, len(before.rpartition("\n")[2].encode())
        child.lua("vim.api.nvim_win_set_cursor(0, { ... })", row, column)
        child.lua("vim.cmd('normal! zz')")

    def _type_spot(self, spot: Spot) -> Iterator[int]:
        offset, end, last_read = spot.start, spot.start + len(spot.text), ""
        while offset < end:
            gap_s = self._person.gap_ms(self._text, offset, self._source.name) / 1000
            time.sleep(gap_s)
            shown = str(self._child.lua(_SHOWN))
            if shown and not last_read.endswith(shown):
                time.sleep(self._person.look_ms(shown) / 1000)
                shown = str(self._child.lua(_SHOWN))
                n_taken = self._judge(shown, offset, end)
                last_read = shown
                if n_taken:
                    offset += n_taken
                    yield n_taken
                    continue
            yield (n_typed := self._press(offset, end))
            offset += n_typed

    def _judge(self, shown: str, offset: int, end: int) -> int:
        """Take what is right of a suggestion, and write down what it was."""
        truth = self._text[offset:end]
        taken = take(shown, truth, self._person.policy)
        line_start = self._text.rfind("\n", 0, offset) + 1
        read = Read(
            file=self._source.name,
            line=self._text.count("\n", 0, offset) + 1,
            before=self._text[line_start:offset],
            shown=shown,
            truth=truth[: max(len(shown), _READABLE_TRUTH_CHARS)],
            n_taken=taken.n_chars,
        )
        self.reads.append(read)
        self._out.write(json.dumps(dataclasses.asdict(read)) + "\n")
        self._out.flush()
        if taken.n_chars:
            self._accept(shown, taken.n_chars, taken.n_presses)
        return taken.n_chars

    def _accept(self, shown: str, n_chars: int, n_presses: int) -> None:
        is_all = n_chars == len(shown)
        for _ in range(1 if is_all else n_presses):
            part = "accept" if is_all else "accept_line"
            self._child.type(f"<Cmd>lua require('fimble').{part}()<CR>")
            time.sleep(0.1)

    def _press(self, offset: int, end: int) -> int:
        """One key. Enter brings its indentation along."""
        character = self._text[offset]
        if character != "\n":
            self._child.type(_KEY_NAMES.get(character, character))
            return 1
        stop = offset + 1
        while stop < end and self._text[stop] in " \t":
            stop += 1
        indentation = self._text[offset + 1 : stop].replace("\t", "<C-v><Tab>")
        self._child.type("<CR>" + indentation)
        return stop - offset


def type_file(source: Path, *, minutes: float, seed: int, out: TextIO) -> tuple[int, list[Read]]:
    """Type one file in a copy of its folder; characters that came in, and what was read."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / source.parent.name
        shutil.copytree(source.parent, folder)
        (folder / ".git").mkdir(exist_ok=True)
        child = start_served(folder, source, eagerness=0.5)
        try:
            typist = Typist(child, source, Person(seed=seed, policy=Policy.LINE), out)
            return typist.type_until(time.monotonic() + 60 * minutes), typist.reads
        finally:
            child.close()


def main() -> None:
    """Type every file, then print the worst."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sources", type=Path, nargs="+")
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--worst", type=int, default=10)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    with arguments.out.open("w", encoding="utf-8") as out:
        for source in arguments.sources:
            n_chars, reads = type_file(
                source, minutes=arguments.minutes, seed=arguments.seed, out=out
            )
            n_kept, n_saved = sum(r.n_taken > 0 for r in reads), sum(r.n_taken for r in reads)
            sys.stdout.write(
                f"\n# {source.name}: {n_chars} characters, {n_saved} of them taken;"
                f" {len(reads)} suggestions read, {n_kept} kept\n"
            )
            wrong = sorted((r for r in reads if not r.n_taken), key=lambda r: -len(r.shown))
            for read in wrong[: arguments.worst]:
                sys.stdout.write(
                    f"\nline {read.line}: {read.before!r}\n"
                    f"  shown {read.shown!r}\n  truth {read.truth!r}\n"
                )
            sys.stdout.flush()


if __name__ == "__main__":
    main()
