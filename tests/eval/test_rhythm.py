"""Laws of the simulated typist: the seed decides all, every key is typed, gaps look like typing."""

from __future__ import annotations

import itertools
import statistics

from fimble_eval.engine_speed.rhythm import Rhythm, plan_keys
from fimble_eval.typing_replay import plan_spots

TEXT = "def add(left, right):\n    total = left + right\n    return total\n\n\n" * 30
SPOTS = plan_spots(TEXT, n_spots=4, n_chars=200)


def test_the_same_seed_types_the_same_at_the_same_times() -> None:
    once, again, other = (list(plan_keys(SPOTS, seed=seed, duration_s=1e9)) for seed in (3, 3, 4))
    assert once == again
    assert [each.at_s for each in once] != [each.at_s for each in other]


def test_all_is_typed_in_order_and_each_place_is_cut_out_once() -> None:
    keys = list(plan_keys(SPOTS, seed=0, duration_s=1e9))
    assert "".join(each.key.inserted for each in keys) == "".join(spot.text for spot in SPOTS)
    assert [each.spot for each in keys if each.spot is not None] == list(SPOTS)
    assert all(left.at_s < right.at_s for left, right in itertools.pairwise(keys))


def test_nothing_is_typed_after_the_end() -> None:
    keys = list(plan_keys(SPOTS, seed=0, duration_s=5.0))
    assert keys
    assert all(each.at_s <= 5.0 for each in keys)


def test_the_gaps_have_the_rhythm_s_median_and_a_tail_of_pauses() -> None:
    rhythm = Rhythm()
    keys = list(plan_keys(SPOTS, seed=0, duration_s=1e9))
    gaps_s = [right.at_s - left.at_s for left, right in itertools.pairwise(keys)]
    assert 0.8 < statistics.median(gaps_s) / rhythm.key_median_s < 1.3
    n_pauses = sum(gap > 4 * rhythm.key_median_s for gap in gaps_s)
    assert 0.02 < n_pauses / len(gaps_s) < 0.2
