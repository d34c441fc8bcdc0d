"""Milliseconds from a key to its ghost text on the screen, in a real Neovim with the real server.

    PYTHONPATH=tests python tests/e2e/neovim/measure_latency.py [SOURCE] [--out RESULT.json]

Types parts of a real file back into it, key by key, and waits after each for the flush that shows
ghost text right of the typed key. Keys that go along with what is shown need no answer, so they
are counted apart: the figure is that of keys whose ghost had to be asked for. A key that gets no
suggestion within the waiting time is counted, not timed. Ends in one JSON line.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
import sys
import tempfile
import textwrap
import time
from dataclasses import dataclass
from pathlib import Path

from fimble_eval.machine import describe_machine
from fimble_eval.typing_replay import Spot, keystrokes_of, plan_spots
from fimble_testing.neovim_child import NeovimChild
from fimble_testing.neovim_screen import Screen
from fimble_testing.neovim_served import model_words, start_served

_WAIT_S = 0.5
# A quick typist's pause between two keys.
_PAUSE_S = 0.06
_KEY_NAMES = {" ": "<Space>", "<": "<lt>", "\t": "<Tab>"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """One key: `took_ms` is None where no ghost came, `is_along` where it went along with one."""

    took_ms: float | None
    is_along: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantiles:
    """Milliseconds of `n_keys` keys."""

    n_keys: int
    p50_ms: float
    p95_ms: float


def type_spot(child: NeovimChild, text: str, spot: Spot) -> list[Timed]:
    """Cut a spot out of the file and type it back."""
    before, after = text[: spot.start], text[spot.start + len(spot.text) :]
    row, column = before.count("\n") + 1, len(before) - before.rfind("\n") - 1
    child.type("<Esc>")
    child.lua("vim.api.nvim_buf_set_lines(0, 0, -1, true, ...)", (before + after).split("\n"))
    # The replayed keys bring their own indentation.
    child.lua("vim.bo.autoindent, vim.bo.indentexpr = false, ''")
    child.type("i")
    child.lua("vim.api.nvim_win_set_cursor(0, { ... })", row, column)
    child.lua("vim.cmd('normal! zz')")
    timed = []
    for keystroke in keystrokes_of(spot):
        if keystroke.inserted.startswith("\n"):
            child.type("<CR>" + keystroke.inserted[1:])
            time.sleep(_PAUSE_S)
            continue
        timed.append(type_key(child, keystroke.inserted))
        time.sleep(_PAUSE_S)
    return timed


def type_key(child: NeovimChild, character: str) -> Timed:
    """Type one character and time its ghost text."""
    ghost = child.ghost()
    is_along = bool(ghost) and ghost[0].startswith(character)

    def is_drawn(screen: Screen) -> bool:
        return bool(screen.text_of("FimbleGhost"))

    keys = _KEY_NAMES.get(character, character)
    took_ms = child.time_until_drawn(keys, is_drawn, timeout_s=_WAIT_S)
    return Timed(took_ms=took_ms, is_along=is_along)


def quantiles(values_ms: list[float]) -> Quantiles:
    """Median and 95th percentile."""
    ordered = sorted(values_ms)
    at_95 = ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]
    return Quantiles(
        n_keys=len(ordered),
        p50_ms=round(statistics.median(ordered), 1),
        p95_ms=round(at_95, 1),
    )


def measure(source: Path, *, n_spots: int, n_chars: int, eagerness: float) -> dict[str, object]:
    """The result, JSON-ready."""
    text = source.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        child = start_served(Path(folder), source, eagerness=eagerness)
        try:
            model = model_words(child)
            version = child.command("version").strip().splitlines()[0]
            spots = plan_spots(text, n_spots=n_spots, n_chars=n_chars)
            type_spot(child, text, spots[0])  # warm: not counted
            timed = [key for spot in spots for key in type_spot(child, text, spot)]
        finally:
            child.close()
    asked = [key.took_ms for key in timed if key.took_ms is not None and not key.is_along]
    along = [key.took_ms for key in timed if key.took_ms is not None and key.is_along]
    return {
        "what": "milliseconds from a key to its ghost text on the screen that Neovim draws",
        "asked_for": dataclasses.asdict(quantiles(asked)),
        "typed_along": dataclasses.asdict(quantiles(along)),
        "n_keys_without_suggestion": sum(key.took_ms is None for key in timed),
        "file": source.name,
        "eagerness": eagerness,
        "debounce_ms": 10,
        "editor": version,
        "model": model,
        "machine": dataclasses.asdict(describe_machine()),
    }


def main() -> None:
    """Measure, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path, nargs="?", default=Path(textwrap.__file__))
    parser.add_argument("--out", type=Path)
    parser.add_argument("--n-spots", type=int, default=4)
    parser.add_argument("--n-chars", type=int, default=60)
    parser.add_argument("--eagerness", type=float, default=1.0)
    arguments = parser.parse_args()
    result = measure(
        arguments.source,
        n_spots=arguments.n_spots,
        n_chars=arguments.n_chars,
        eagerness=arguments.eagerness,
    )
    line = json.dumps(result)
    if arguments.out is not None:
        arguments.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    sys.stdout.write(line + "\n")


if __name__ == "__main__":
    main()
