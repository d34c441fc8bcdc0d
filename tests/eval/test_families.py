"""The table of families: each is its reference, each prompt as its publisher documents it."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from fimble_eval.families.documented import DOCUMENTED, compare_prompts
from fimble_eval.families.measuring import N_GREEDY, measure_family
from fimble_eval.families.shapes import SHAPES
from fimble_eval.families.verb import write_families
from fimble_model.network.families import FAMILIES
from fimble_model.text.fim_families import FAMILIES as FORMATS

# The whole table is measured by its verb.
SUBSET = ("starcoder2",)


def test_every_family_has_a_checkpoint_and_every_format_a_documented_form() -> None:
    assert {shape.model_type for shape in SHAPES} == FAMILIES.keys()
    assert {fim_format.family for fim_format in FORMATS} == DOCUMENTED.keys()


def test_every_prompt_is_as_its_publisher_documents_it() -> None:
    for finding in compare_prompts():
        assert finding.alone, finding.family
        assert finding.with_files is not False, finding.family
        assert finding.special_strings, finding.family
        assert finding.source


@pytest.mark.parametrize("model_type", SUBSET)
def test_a_family_equals_transformers(model_type: str, tmp_path: Path) -> None:
    shape = next(shape for shape in SHAPES if shape.model_type == model_type)
    figures = measure_family(shape, n_timed=1)
    assert figures.difference <= 1e-4
    assert figures.cached_difference <= 1e-4
    assert figures.greedy_equal == N_GREEDY
    write_families(tmp_path, [figures], compare_prompts(), n_threads=1)
    (table,) = tmp_path.glob("families-*.csv")
    (row,) = csv.DictReader(table.read_text(encoding="utf-8").splitlines())
    assert row["family"] == model_type
    whole = json.loads(table.with_suffix(".json").read_text(encoding="utf-8"))
    assert whole["machine"]["processor"]
    assert len(whole["prompts"]) == len(DOCUMENTED)
    assert f"| {model_type} |" in table.with_suffix(".md").read_text(encoding="utf-8")
