"""What was planted in a corpus is found, whole or nearly, and nothing else is."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from fimble_eval.contamination.overlap import Overlaps, hash_stretches
from fimble_eval.contamination.search import (
    CorpusText,
    draw_contamination,
    read_corpus,
    search,
)
from fimble_eval.results import write_result
from fimble_model.errors import FimbleError

_RNG = random.Random(0)


def _words(n_words: int) -> list[str]:
    return ["".join(_RNG.choices("abcdefghij", k=5)) for _ in range(n_words)]


def _document(middle: list[str]) -> str:
    return " ".join([*_words(300), *middle, *_words(300)])


def test_a_task_that_stands_in_a_document_is_found_whole() -> None:
    task = _words(60)
    overlaps = Overlaps({"seen": " ".join(task), "unseen": " ".join(_words(60))})
    overlaps.look_at("d", _document(task))
    seen, unseen = overlaps.findings["seen"], overlaps.findings["unseen"]
    assert (seen.found_share, seen.near_share, seen.near_document) == (1.0, 1.0, "d")
    assert seen.is_touched
    assert (unseen.n_found, unseen.near_share, unseen.is_touched) == (0, 0.0, False)


def test_case_and_punctuation_hide_nothing() -> None:
    task = _words(30)
    overlaps = Overlaps({"t": " ".join(task)})
    overlaps.look_at("d", "(" + ", ".join(word.upper() for word in task) + ")")
    assert overlaps.findings["t"].found_share == 1.0


def test_one_stretch_of_thirteen_words_touches_and_one_of_twelve_does_not() -> None:
    task = _words(60)
    for n_words, is_touched in ((12, False), (13, True)):
        overlaps = Overlaps({"t": " ".join(task)})
        overlaps.look_at("d", _document(task[20 : 20 + n_words]))
        assert overlaps.findings["t"].is_touched is is_touched


def test_a_near_duplicate_is_found_though_no_long_stretch_is_left() -> None:
    """Every twelfth word is another: 7 of 12 short stretches remain, no long one does."""
    task = _words(120)
    changed = [word if index % 12 else "changed" for index, word in enumerate(task)]
    overlaps = Overlaps({"t": " ".join(task)})
    overlaps.look_at("d", _document(changed))
    finding = overlaps.findings["t"]
    assert finding.n_found == 0
    assert finding.near_share > 0.5
    assert finding.is_touched


def test_stretches_that_lie_far_apart_are_no_near_duplicate() -> None:
    """Each stands somewhere, as common phrases do, but no place has many of them."""
    task = _words(60)
    scattered: list[str] = []
    for start in range(0, 55, 5):
        scattered += [*task[start : start + 5], *_words(80)]
    overlaps = Overlaps({"t": " ".join(task)})
    overlaps.look_at("d", " ".join(scattered))
    assert overlaps.findings["t"].near_share < 0.1


def test_a_stretch_found_twice_counts_once() -> None:
    task = _words(20)
    overlaps = Overlaps({"t": " ".join(task)})
    for name in ("a", "b"):
        overlaps.look_at(name, _document(task[:13]))
    assert overlaps.findings["t"].n_found == 1


def test_short_and_empty_texts_have_no_stretches() -> None:
    assert len(hash_stretches("a b c", 13)) == 0
    overlaps = Overlaps({"t": "", "u": "x"})
    overlaps.look_at("d", "")
    overlaps.look_at("e", _document([]))
    assert not overlaps.findings["t"].is_touched


def test_tasks_with_one_text_share_what_is_found(tmp_path: Path) -> None:
    text = " ".join(_words(40))
    records = [{"task_id": name, "prompt": text} for name in ("a", "b")]
    records.append({"task_id": "c", "prompt": " ".join(_words(40))})
    n_read = 0

    def count() -> None:
        nonlocal n_read
        n_read += 1

    result = search(records, iter([CorpusText("d", text)]), on_document=count)
    assert [row["touched"] for row in result.rows] == [1, 1, 0]
    assert (result.summary["n_touched"], result.summary["n_tasks"], n_read) == (2, 3, 1)
    write_result(tmp_path, "contamination", result, draw_contamination(result))
    assert text.split()[0] not in (tmp_path / "contamination.csv").read_text(encoding="utf-8")


def test_a_corpus_is_a_folder_of_files_or_lines(tmp_path: Path) -> None:
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    (corpus / "a.py").write_bytes("x = '😀'\n".encode() + b"\xff")
    (corpus / "b.bin").write_bytes(b"\0\0")
    document = {"package": "p", "path": "c.py", "text": "y = 1\u2028\n"}
    lines = corpus / "c.jsonl"
    lines.write_text(json.dumps(document, ensure_ascii=False) + "\n", encoding="utf-8")
    found = dict(read_corpus(corpus))
    assert found["p/c.py"] == document["text"]
    assert found["corpus/a.py"].startswith("x = '😀'")
    assert len(found) == 2
    lines.write_text('["no text"]\n', encoding="utf-8")
    with pytest.raises(FimbleError):
        list(read_corpus(lines))
