"""Holes are cut where they say, and scored as they say."""

from __future__ import annotations

import dataclasses
import json
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fimble_eval.holes.bits import count_bits
from fimble_eval.holes.cutting import Cut, HoleKind, cut_holes
from fimble_eval.holes.definitions import defined_names
from fimble_eval.holes.holes_score import HolesView, draw_holes, score_holes
from fimble_eval.holes.likeness import edit_similarity, is_same_first_line, says_something
from fimble_eval.holes.repository import SourceFile, read_sources
from fimble_eval.results import write_result
from fimble_eval.rivals.choosing import Rival
from fimble_eval.rivals.ngram_engine import NgramEngine
from fimble_model.engine.memory_index import LOWER_PART
from fimble_model.engine.stopping import StopAtLineEnd
from fimble_model.errors import FimbleError
from fimble_server.document.languages import language_for_id
from fimble_server.document.parsed import parse
from fimble_testing.fake_engine import FAKE_MODEL, FakeEngine, Prompted, read_prompt
from fimble_testing.tiny_engines import build_engine, build_request, run_alone

_SHOP = '''from stock.shelf import find_shelf


def total(prices: list[int]) -> int:
    """Add up: find_shelf is not used here. 😀"""
    result = 0
    for price in prices:
        if price > 0:
            result += price
    return result


def place(name: str) -> str:
    shelf = find_shelf(name)
    return f"{shelf}: {name}"
'''
_SHELF = '''class ShelfError(Exception):
    """No such shelf."""


def find_shelf(name: str) -> str:
    if not name:
        raise ShelfError(name)
    return name.upper()
'''


def _sources() -> list[SourceFile]:
    return [
        SourceFile(package="shop", path="shop/till.py", language_id="python", text=_SHOP),
        SourceFile(package="shop", path="stock/shelf.py", language_id="python", text=_SHELF),
    ]


def _cuts(kind: HoleKind, n_cases: int = 100, seed: int = 0) -> list[Cut]:
    cuts = cut_holes(_sources(), n_cases=n_cases, seed=seed, has_memory=True)
    return [cut for cut in cuts if cut.kind is kind]


@pytest.mark.parametrize("kind", list(HoleKind))
def test_a_hole_and_its_sides_are_the_file(kind: HoleKind) -> None:
    texts = {file.path: file.text for file in _sources()}
    cuts = _cuts(kind)
    assert cuts
    for cut in cuts:
        assert cut.hole.text == texts[cut.path]
        assert cut.hole.middle
        assert cut.hole.middle == cut.hole.middle.rstrip()
        others = {buffer.text for buffer in cut.hole.neighbours}
        assert others == set(texts.values()) - {texts[cut.path]}


def test_lines_are_whole_and_their_ends_are_not() -> None:
    for cut in _cuts(HoleKind.LINE):
        assert "\n" not in cut.hole.middle
        assert not cut.hole.prefix.rpartition("\n")[2].strip()
        assert cut.hole.suffix[:1] in ("\n", "")
    for cut in _cuts(HoleKind.LINE_END):
        assert cut.hole.prefix.rpartition("\n")[2].strip()
        assert cut.hole.suffix[:1] in ("\n", "")


def test_blocks_are_nodes_that_fill_lines() -> None:
    middles = {cut.hole.middle for cut in _cuts(HoleKind.BLOCK)}
    assert "if price > 0:\n            result += price" in middles
    assert all(2 <= middle.count("\n") + 1 <= 10 for middle in middles)


def test_a_cross_file_line_uses_what_only_another_file_defines() -> None:
    """Not in its imports, nor in what only speaks of it."""
    assert [cut.hole.middle for cut in _cuts(HoleKind.CROSS_FILE)] == ["shelf = find_shelf(name)"]


@pytest.mark.parametrize(
    ("language_id", "text", "names"),
    [
        ("python", "class Shop:\n    def open_it(self): ...\n@x\ndef sell(): ...\n",
         {"Shop", "sell"}),
        ("go", "package p\ntype Shop struct{ x int }\nfunc Sell() {}\n", {"Shop", "Sell"}),
        ("rust", "pub struct Shop { x: i32 }\nimpl Shop { fn open_it() {} }\npub fn sell() {}\n",
         {"Shop", "sell"}),
        ("typescript", "export class Shop {}\nexport const sell = () => 1;\n", {"Shop", "sell"}),
        ("java", "class Shop { void open_it() {} }\n", {"Shop"}),
        ("c", "struct Shop { int x; };\nstatic int sell_it(void) { return 1; }\n",
         {"Shop", "sell_it"}),
        ("plaintext", "class Shop", set()),
    ],
)  # fmt: skip
def test_a_file_defines_what_stands_at_its_top_level(
    language_id: str, text: str, names: set[str]
) -> None:
    assert defined_names(parse(language_for_id(language_id), text)) == names


def test_the_same_seed_cuts_the_same_holes() -> None:
    assert _cuts(HoleKind.LINE, 3) == _cuts(HoleKind.LINE, 3)
    assert _cuts(HoleKind.LINE, 3) != _cuts(HoleKind.LINE, 3, seed=1)


def test_what_is_no_hand_written_source_is_left_out(tmp_path: Path) -> None:
    kept = {"a/x.py": "x = 1\r\n", "a/sub/y.go": "package p\n"}
    left = {
        "a/node_modules/z.js": "x", "a/min.js": "x" * 2_000, "a/README.md": "x",
        "a/.env": "KEY=1", "a/.git/hook.py": "x", "a/empty.py": "",
    }  # fmt: skip
    for name, text in (kept | left).items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
    (tmp_path / "a/latin.py").write_bytes(b"x = '\xe9'\n")
    (tmp_path / "a/link.py").symlink_to(tmp_path / "a/x.py")
    found = read_sources(tmp_path)
    assert [(file.package, file.path) for file in found] == [("a", "sub/y.go"), ("a", "x.py")]
    assert found[1].text == "x = 1\n"
    (tmp_path / "pyproject.toml").touch()
    assert {file.package for file in read_sources(tmp_path)} == {tmp_path.name}


def test_a_corpus_file_is_read_and_another_refused(tmp_path: Path) -> None:
    corpus = tmp_path / "held-out.jsonl"
    document = {"package": "p", "path": "p/a.py", "text": "x = '😀'\u2028\n"}
    corpus.write_text(json.dumps(document, ensure_ascii=False) + "\n", encoding="utf-8")
    assert read_sources(corpus)[0].text == document["text"]
    for written in ("[]\n", "no json\n", '{"package": "p"}\n', ""):
        corpus.write_text(written, encoding="utf-8")
        with pytest.raises(FimbleError):
            read_sources(corpus)
    with pytest.raises(FimbleError):
        read_sources(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("written", "wanted", "is_same"),
    [
        ("x = 1", "x = 1", True),
        ("  x = 1  ", "x = 1", True),
        ("x = 1\ny = 2", "x = 1", True),
        ("x = 1", "x = 1\n    y = 2", True),
        ("\nx = 1", "x = 1", False),
        ("x = 2", "x = 1", False),
        ("", "x", False),
    ],
)
def test_the_soft_scorer_forgives_blanks_and_later_lines(
    written: str, wanted: str, is_same: bool
) -> None:
    assert is_same_first_line(written, wanted) is is_same


@pytest.mark.parametrize(
    ("wanted", "says"),
    [("}", False), ("});", False), ("):", False), ("} else {", True), ("x", True)],
)
def test_mere_closers_say_nothing(wanted: str, says: bool) -> None:
    assert says_something(wanted) is says


@given(st.text("abc😀", max_size=9), st.text("abc😀", max_size=9))
def test_the_edit_distance_is_the_obvious_one(left: str, right: str) -> None:
    @cache
    def distance(n_left: int, n_right: int) -> int:
        if not n_left or not n_right:
            return n_left + n_right
        return min(
            distance(n_left - 1, n_right) + 1,
            distance(n_left, n_right - 1) + 1,
            distance(n_left - 1, n_right - 1) + (left[n_left - 1] != right[n_right - 1]),
        )

    longest = max(len(left), len(right), 1)
    expected = 1 - distance(len(left), len(right)) / longest
    assert edit_similarity(left, right) == pytest.approx(expected)


def _author_of(cuts: list[Cut]) -> FakeEngine:
    """Writes what was cut out; after a line it writes on."""

    def answer(prompted: Prompted) -> str:
        for cut in cuts:
            if (cut.hole.prefix, cut.hole.suffix) == (prompted.prefix, prompted.suffix):
                is_block = cut.kind is HoleKind.BLOCK
                return cut.hole.middle if is_block else f"{cut.hole.middle}\nand more"
        raise AssertionError("a prompt that is of no hole")

    # Its context is long enough for the whole of both files.
    model = dataclasses.replace(FAKE_MODEL, device="cuda", context_tokens=8_000)
    return FakeEngine(answer, model=model)


@pytest.mark.parametrize("view", list(HolesView))
def test_who_writes_what_the_author_wrote_is_right_everywhere(
    view: HolesView, tmp_path: Path
) -> None:
    cuts = cut_holes(_sources(), n_cases=6, seed=0, has_memory=True)
    engine = _author_of(cuts)
    result = score_holes(
        cuts,
        Rival(engine=engine, label="author"),
        view=view,
        has_memory=True,
        has_bits=True,
        on_filled=lambda: None,
        on_scored=lambda: None,
    )
    filled = [row for row in result.rows if row["n_filled_chars"]]
    assert filled
    assert len(filled) == len(result.rows) or view is HolesView.SHOWN
    # A character is a token here: the longest block does not fit.
    short = [row for row in filled if int(str(row["n_middle_chars"])) < 192]
    for row in short if view is HolesView.RAW else []:
        assert (row["exact"], row["exact_first_line"], row["edit_similarity"]) == (1, 1, 1.0)
        assert row["bits_network"] == ""
    write_result(tmp_path, "holes", result, draw_holes(result))
    assert {path.suffix for path in tmp_path.iterdir()} == {".csv", ".json", ".png"}
    assert "find_shelf" not in (tmp_path / "holes.csv").read_text(encoding="utf-8")


def test_at_a_hole_the_memory_holds_no_middle() -> None:
    """The other files, and of the hole's own what stands above its line and below it."""
    for cut in cut_holes(_sources(), n_cases=4, seed=0, has_memory=True):
        engine = FakeEngine(lambda prompted: "")
        score_holes(
            [cut],
            Rival(engine=engine, label="silent"),
            view=HolesView.RAW,
            has_memory=True,
            has_bits=False,
            on_filled=lambda: None,
            on_scored=lambda: None,
        )
        own = engine.memory["shop"].get(cut.hole.uri, "")
        assert cut.hole.prefix.startswith(own)
        below = engine.memory["shop"].get(cut.hole.uri + LOWER_PART, "")
        assert cut.hole.suffix.endswith(below)
        assert cut.hole.prefix.startswith(read_prompt(engine.requests[0].prompt).prefix)


def test_bits_are_what_the_network_and_the_memory_say() -> None:
    """What stood in the memory costs less with it; without one, both ways cost the same."""
    engine = build_engine(has_memory=True)
    line = "    return compute_the_answer(41) + 1"
    file = SourceFile(package="p", path="a.py", language_id="python", text=f"def f():\n{line}\n")
    known = SourceFile(package="p", path="b.py", language_id="python", text=f"def g():\n{line}\n")
    for has_memory in (True, False):
        cuts = cut_holes([file, known], n_cases=50, seed=0, has_memory=has_memory)
        hole = next(c.hole for c in cuts if c.hole.middle == line.strip() and c.path == "a.py")
        bits = count_bits(engine, hole)
        assert bits is not None
        assert (bits.with_memory < bits.network) is has_memory
        assert (bits.with_memory == bits.network) is not has_memory
        assert bits.n_chars >= len(hole.middle)


@given(st.integers(3, 35))
def test_the_memory_alone_copies_what_it_has_seen(n_left: int) -> None:
    """From anywhere in a known line it writes the line's rest, and where it knows none, nothing."""
    tiny = build_engine(has_memory=False)
    engine = NgramEngine(codec=tiny.codec, model=tiny.model)
    line = "abcdefghijklmnopqrstuvwxyz0123456789"
    engine.remember("s", "known", f"# first\n{line}\n# last\n")
    prompt = engine.codec.encode_fim(prefix=f"# first\n{line[:n_left]}", suffix="")
    for scope, expected in (("s", line[n_left:]), ("nobody's", ""), (None, "")):
        request = build_request(
            "r", prompt, max_new_tokens=64, stop=StopAtLineEnd(), memory_scope=scope
        )
        assert run_alone(engine, request).text == expected
