"""When keys come: bursts of typing and pauses between them, drawn from a seed.

Owns the rhythm's numbers. Pure: no clock, and the same seed types the same.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fimble_eval.typing_replay import Keystroke, Spot, keystrokes_of

__all__ = ["Rhythm", "TimedKey", "plan_keys"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rhythm:
    """Gaps are log-normal, as measured of typists: the median in seconds, and the spread.

    The median between keys is that of a quick writer of prose (136 million keystrokes: Dhakal et
    al., CHI 2018); bursts and pauses of programmers are guessed. After a new line one pauses
    oftener than within it.
    """

    key_median_s: float = 0.17
    key_spread: float = 0.45
    pause_median_s: float = 1.2
    pause_spread: float = 0.7
    keys_a_burst: float = 14.0
    pauses_at_line: float = 0.4


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedKey:
    """A key, or the start of a new place: then `spot` is cut out of the file first."""

    at_s: float
    key: Keystroke
    spot: Spot | None = None


def plan_keys(
    spots: Sequence[Spot], *, seed: int, duration_s: float, rhythm: Rhythm | None = None
) -> Iterator[TimedKey]:
    """The keys of one typist in order of time, until `duration_s` or until all is typed.

    >>> spot = Spot(start=0, text="a = 1")
    >>> keys = list(plan_keys([spot], seed=1, duration_s=60))
    >>> "".join(each.key.inserted for each in keys), keys[0].spot is spot
    ('a = 1', True)
    """
    rhythm, chance = rhythm or Rhythm(), random.Random(seed)
    # Typists do not start at one moment.
    at_s = chance.uniform(0.0, rhythm.pause_median_s)
    for spot in spots:
        for index, key in enumerate(keystrokes_of(spot)):
            if at_s > duration_s:
                return
            yield TimedKey(at_s=at_s, key=key, spot=spot if index == 0 else None)
            at_s += _gap_s(key, rhythm, chance)


def _gap_s(key: Keystroke, rhythm: Rhythm, chance: random.Random) -> float:
    pause_chance = rhythm.pauses_at_line if key.inserted[0] == "\n" else 1 / rhythm.keys_a_burst
    if chance.random() < pause_chance:
        return chance.lognormvariate(math.log(rhythm.pause_median_s), rhythm.pause_spread)
    return chance.lognormvariate(math.log(rhythm.key_median_s), rhythm.key_spread)
