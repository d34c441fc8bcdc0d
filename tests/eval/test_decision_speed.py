"""The files that decisions are timed in are long, and whole."""

from __future__ import annotations

import pytest

from fimble_eval import decision_speed
from fimble_eval.decision_scripts import SCRIPTS
from fimble_eval.decision_speed import LANGUAGE_IDS, measure_decisions
from fimble_server.document.languages import LANGUAGES, language_for_id
from fimble_server.document.parsed import parse


def test_every_grammar_is_timed() -> None:
    """No grammar of the table of languages is left out."""
    timed = {language_for_id(each).grammar_id for each in LANGUAGE_IDS}
    assert timed == {each.grammar_id for each in LANGUAGES if each.grammar_id is not None}


@pytest.mark.parametrize("language_id", LANGUAGE_IDS)
def test_the_files_are_well_formed(language_id: str) -> None:
    """Their trees hold no error: what is timed is typing, not mending."""
    script = SCRIPTS[language_id]
    text = "".join((script.head, script.unit.replace("§", "1") * 2, script.tail))
    parsed = parse(language_for_id(language_id), text.replace("<|>", ""))
    assert parsed.tree is not None
    assert not parsed.tree.root_node.has_error


@pytest.mark.parametrize("language_id", LANGUAGE_IDS)
def test_every_key_of_a_long_file_is_timed(
    monkeypatch: pytest.MonkeyPatch, language_id: str
) -> None:
    """As many lines as asked for, each key forth and back, and figures that are in order."""
    monkeypatch.setattr(decision_speed, "_N_SPOTS", 1)
    monkeypatch.setattr(decision_speed, "_N_LINES", 500)
    speed = measure_decisions(language_id)
    assert speed.n_lines >= 500
    assert speed.n_keys > 80
    assert 0 < speed.p50_ms <= speed.p95_ms
    assert 0 < speed.cpu_p50_ms <= speed.cpu_p95_ms <= speed.cpu_worst_ms
