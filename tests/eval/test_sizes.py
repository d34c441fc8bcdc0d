"""Laws of weighing sizes: the shapes are of the sizes they are named for, and keys are counted."""

from pathlib import Path

import pytest

from fimble_eval.engine_speed import sizes
from fimble_eval.engine_speed.sizes import SIZE_SHAPES
from fimble_model.shipped import find_model_folder
from fimble_model.training.recipes import find_recipe


def test_the_candidates_span_what_the_plan_names_and_hold_the_recipe() -> None:
    millions = [round(shape.n_parameters / 1e6) for shape in SIZE_SHAPES.values()]
    assert millions == [30, 40, 62]
    assert find_recipe("fimble-base").network in SIZE_SHAPES.values()


def test_each_key_is_counted_and_a_jump_is_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sizes, "_N_CHARS", 6)
    monkeypatch.setattr(sizes, "_N_NEW_TOKENS", 2)
    measured = sizes._type_through(Path(find_model_folder("fimble-nano")), 1)
    assert measured["n_keys"] >= 2 * sizes._N_FILES
    assert 1 <= measured["tokens_a_key"] <= 2
    assert 0 < measured["warm_p50_ms"] <= measured["warm_p90_ms"]
    assert measured["resident_mb"] > 0
