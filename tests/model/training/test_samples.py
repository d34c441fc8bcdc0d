"""Laws of the training samples: what is cut can be put together, and the layout is serving's."""

import random
from collections import Counter

import pytest
from tokenizers import Tokenizer

from fimble_model.text.fim_families import FAMILIES
from fimble_model.text.fim_format import FimOrder, Hole
from fimble_model.training.cuts import CutKind, choose_cut
from fimble_model.training.documents import Document
from fimble_model.training.languages import LANGUAGES, try_parser
from fimble_model.training.neighbours import Neighbour, Neighbours
from fimble_model.training.rows import RowStream
from fimble_model.training.samples import (
    Layout,
    SampleMaker,
    trim_prefix,
    trim_suffix,
)

END, PREFIX, MIDDLE, SUFFIX = range(4)


@pytest.fixture
def maker(tokenizer: Tokenizer) -> SampleMaker:
    return SampleMaker(tokenizer)


def _n_tokens(tokenizer: Tokenizer, text: str) -> int:
    return len(tokenizer.encode(text, add_special_tokens=False).ids)


def test_prefix_middle_and_suffix_are_one_run_of_the_document(
    texts: list[str], maker: SampleMaker
) -> None:
    seen = Counter[Layout]()
    for seed in range(400):
        rng = random.Random(seed)
        text = rng.choice(texts)
        sample = maker.make(text, rng, n_tokens=rng.randint(65, 300))
        seen[sample.layout] += 1
        assert sample.prefix + sample.middle + sample.suffix in text
        assert sample.middle
    assert seen[Layout.SPM] > seen[Layout.PSM] > 0
    assert seen[Layout.PLAIN] > 0


def test_a_sample_fits_the_window_it_was_made_for(texts: list[str], maker: SampleMaker) -> None:
    for seed in range(300):
        rng = random.Random(seed)
        n_tokens = rng.randint(1, 300)
        sample = maker.make(rng.choice(texts), rng, n_tokens=n_tokens)
        assert 1 <= len(sample.token_ids) <= n_tokens


def test_spm_is_laid_out_so_that_the_middle_follows_the_prefix(
    maker: SampleMaker, tokenizer: Tokenizer
) -> None:
    p, m, s = (tokenizer.encode(text).ids for text in ("x = ", "foo(1)", "\nprint(x)\n"))
    laid_out = maker.lay_out(Layout.SPM, prefix="x = ", middle="foo(1)", suffix="\nprint(x)\n")
    assert list(laid_out) == [PREFIX, SUFFIX, *s, MIDDLE, *p, *m, END]


def test_psm_is_laid_out_in_reading_order(maker: SampleMaker, tokenizer: Tokenizer) -> None:
    p, m, s = (tokenizer.encode(text).ids for text in ("x = ", "foo(1)", "\nprint(x)\n"))
    laid_out = maker.lay_out(Layout.PSM, prefix="x = ", middle="foo(1)", suffix="\nprint(x)\n")
    assert list(laid_out) == [PREFIX, *p, SUFFIX, *s, MIDDLE, *m, END]


@pytest.mark.parametrize("order", FimOrder)
def test_training_lays_out_as_serving_does(
    order: FimOrder, maker: SampleMaker, tokenizer: Tokenizer
) -> None:
    fim_format = next(each for each in FAMILIES if each.family == "fimble")
    prefix, suffix = "def f(x):\n    return ", "\n\nprint(f(1))\n"
    served: list[int] = []
    for part in fim_format.layouts[order]:
        if isinstance(part, Hole):
            text = prefix if part is Hole.PREFIX else suffix
            served += tokenizer.encode(text, add_special_tokens=False).ids
        else:
            assert isinstance(part, str)
            served += [
                token_id for token_id in [tokenizer.token_to_id(part)] if token_id is not None
            ]
    prefix_ids = tokenizer.encode(prefix, add_special_tokens=False).ids
    assert list(maker.lay_out_prompt(Layout(order.value), prefix_ids, suffix)) == served


def test_every_fill_in_sample_ends_with_the_end_token(texts: list[str], maker: SampleMaker) -> None:
    for seed in range(200):
        rng = random.Random(seed)
        sample = maker.make(rng.choice(texts), rng, n_tokens=200)
        if sample.layout is not Layout.PLAIN:
            assert sample.token_ids[-1] == END
            assert sample.token_ids.count(MIDDLE) == 1


def test_a_control_string_in_a_document_stays_plain_text(
    maker: SampleMaker, tokenizer: Tokenizer
) -> None:
    text = 'END = "<|endoftext|>"\nMIDDLE = "<|fim_middle|>"\n'
    sample = maker.make_plain(text, random.Random(0), n_tokens=200)
    assert sample.token_ids.count(MIDDLE) == 0
    assert sample.token_ids.count(END) == 1
    assert tokenizer.decode(sample.token_ids[:-1]) == text


def test_all_kinds_of_cut_occur_and_respect_the_longest_middle(texts: list[str]) -> None:
    kinds = Counter[CutKind]()
    for seed in range(300):
        rng = random.Random(seed)
        text = rng.choice(texts)
        cut = choose_cut(text, rng, max_middle_chars=120)
        if cut is not None:
            kinds[cut.kind] += 1
            assert 0 <= cut.middle_start < cut.middle_end <= len(text)
            assert text[cut.middle_start : cut.middle_end].strip()
            # Indentation before a node may come on top of the node itself.
            assert cut.middle_end - cut.middle_start <= 120 + 12
    assert set(kinds) == set(CutKind)


def test_indentation_is_left_now_to_the_middle_now_to_the_prefix(texts: list[str]) -> None:
    starts = Counter[str]()
    for seed in range(600):
        rng = random.Random(seed)
        text = rng.choice(texts)
        cut = choose_cut(text, rng, max_middle_chars=120)
        if cut is None or cut.kind is CutKind.SPAN:
            continue
        line_start = text.rfind("\n", 0, cut.middle_start) + 1
        before = text[line_start : cut.middle_start]
        if text[cut.middle_start] == " " and not before:
            starts["middle"] += 1
        elif before and not before.strip():
            starts["prefix"] += 1
    assert min(starts["middle"], starts["prefix"]) > 0.5 * max(starts.values())


def test_whole_lines_leave_their_line_end_now_to_the_middle_now_to_the_suffix(
    texts: list[str],
) -> None:
    """Where the suffix begins with another line's text, the model must close its own line."""
    ends = Counter[str]()
    for seed in range(900):
        rng = random.Random(seed)
        text = rng.choice(texts)
        cut = choose_cut(text, rng, max_middle_chars=120)
        if cut is None or cut.kind is not CutKind.SYNTAX:
            continue
        starts_a_line = text[: cut.middle_start].endswith("\n")
        if starts_a_line and text[cut.middle_start] == " ":
            if text[cut.middle_end - 1] == "\n":
                ends["middle"] += 1
                assert text[cut.middle_end - 2] != "\n"
            elif text[cut.middle_end] == "\n":
                ends["suffix"] += 1
    assert min(ends["middle"], ends["suffix"]) > 0.5 * max(ends.values()) > 10


def test_some_samples_have_no_suffix(texts: list[str], maker: SampleMaker) -> None:
    rng = random.Random(1)
    samples = [maker.make(rng.choice(texts), rng, n_tokens=200) for _ in range(300)]
    suffixes = [each.suffix for each in samples if each.layout is not Layout.PLAIN]
    assert 0.05 < suffixes.count("") / len(suffixes) < 0.4


@pytest.mark.parametrize("n_tokens", [1, 7, 30, 500])
def test_a_trimmed_suffix_ends_at_a_line_end_and_a_trimmed_prefix_starts_a_line(
    n_tokens: int, texts: list[str], tokenizer: Tokenizer
) -> None:
    text = texts[5]
    suffix = trim_suffix(text, tokenizer, n_tokens)
    assert text.startswith(suffix)
    assert suffix in ("", text) or suffix.endswith("\n")
    assert _n_tokens(tokenizer, suffix) <= n_tokens
    prefix = trim_prefix(text + "x = ", tokenizer, n_tokens)
    assert (text + "x = ").endswith(prefix)
    assert _n_tokens(tokenizer, prefix) <= n_tokens
    if n_tokens > 7:
        assert ("\n" + text).removesuffix(prefix.removesuffix("x = ")).endswith("\n")


def _documents(texts: list[str]) -> list[Document]:
    return [
        Document(package=f"pack/age{index % 2}", path=f"module_{index}.py", text=text)
        for index, text in enumerate(texts)
    ]


def _rows(texts: list[str], maker: SampleMaker, *, seed: int, n_rows: int) -> list[list[int]]:
    stream = RowStream(_documents(texts), maker, n_tokens=128, seed=seed)
    return [stream.next_row() for _ in range(n_rows)]


def test_rows_are_filled_to_the_end(texts: list[str], maker: SampleMaker) -> None:
    assert {len(row) for row in _rows(texts, maker, seed=3, n_rows=60)} == {128}


def test_rows_depend_on_the_seed_and_their_number_alone(
    texts: list[str], maker: SampleMaker
) -> None:
    straight = _rows(texts, maker, seed=3, n_rows=30)
    resumed = RowStream(_documents(texts), maker, n_tokens=128, seed=3)
    resumed.next_index = 12
    assert [resumed.next_row() for _ in range(18)] == straight[12:]
    assert _rows(texts, maker, seed=4, n_rows=30) != straight


def test_a_new_epoch_brings_new_cuts(texts: list[str], maker: SampleMaker) -> None:
    stream = RowStream(_documents(texts[:2]), maker, n_tokens=128, seed=0)
    rows = [tuple(stream.next_row()) for _ in range(60)]
    # In two short files the same cut may come up twice by chance.
    assert len(set(rows)) > 50


def test_other_files_of_the_package_come_before_the_sample_as_serving_lays_them_out(
    maker: SampleMaker, tokenizer: Tokenizer
) -> None:
    document = Document(package="pack/age", path="a/b.py", text="x = 1\n")
    found = [Neighbour("c.py", "y = 2"), Neighbour("d.py", "z = 3\n")]
    ids = maker.lay_out_repository(document, found, n_most_tokens=99)
    assert tokenizer.decode(ids, skip_special_tokens=False) == (
        "<|repo_name|>age\n<|file_sep|>c.py\ny = 2\n<|file_sep|>d.py\nz = 3\n<|file_sep|>a/b.py\n"
    )
    # What is most alike stands last and is the last to go.
    fewer = maker.lay_out_repository(document, found, n_most_tokens=len(ids) - 1)
    text = tokenizer.decode(fewer, skip_special_tokens=False)
    assert "c.py" not in text
    assert "d.py" in text
    assert maker.lay_out_repository(document, found, n_most_tokens=3) == ()


def test_neighbours_are_of_the_same_package_and_never_the_document_itself(
    texts: list[str],
) -> None:
    documents = _documents(texts)
    neighbours = Neighbours(documents)
    for seed in range(40):
        rng = random.Random(seed)
        index = rng.randrange(len(documents))
        for found in neighbours.choose(index, documents[index].text, rng, count=3):
            other = next(each for each in documents if each.path == found.path)
            assert other.package == documents[index].package
            assert other.path != documents[index].path
            assert found.text in other.text


def test_an_empty_file_is_nobodys_neighbour(texts: list[str]) -> None:
    documents = [
        Document(package="pack", path=f"{index}.py", text=text)
        for index, text in enumerate((texts[0], "", texts[1]))
    ]
    found = Neighbours(documents).choose(0, texts[0], random.Random(0), count=3)
    assert [each.path for each in found] == ["2.py"]


def test_a_sample_in_its_repository_fits_the_window_and_says_how_much_is_context(
    texts: list[str], maker: SampleMaker, tokenizer: Tokenizer
) -> None:
    documents = _documents(texts)
    neighbours = Neighbours(documents)
    n_with_context = 0
    for seed in range(200):
        rng = random.Random(seed)
        index = rng.randrange(len(documents))
        sample = maker.make_in_repository(neighbours, index, rng, n_tokens=400)
        assert len(sample.token_ids) <= 400
        head = sample.token_ids[: sample.n_repository_tokens]
        if head:
            n_with_context += 1
            text = tokenizer.decode(head, skip_special_tokens=False)
            assert text.endswith(f"<|file_sep|>{documents[index].path}\n")
        assert tokenizer.token_to_id("<|repo_name|>") not in sample.token_ids[len(head) :]
    assert 0.35 < n_with_context / 200 < 0.75


SNIPPETS = {
    "python": "def f(a):\n    return g(a, 1)\n",
    "javascript": "function f(a) {\n  return g(a, 1);\n}\n",
    "typescript": "function f(a: number): number {\n  return g(a, 1);\n}\n",
    "tsx": "const f = (a: P) => {\n  return <b>{g(a)}</b>;\n};\n",
    "c": "int f(int a) {\n  return g(a, 1);\n}\n",
    "cpp": "int A::f(int a) {\n  return g(a, 1);\n}\n",
    "go": "func f(a int) int {\n\treturn g(a, 1)\n}\n",
    "rust": "fn f(a: i32) -> i32 {\n    g(a, 1)\n}\n",
    "java": "class A {\n  int f(int a) {\n    return g(a, 1);\n  }\n}\n",
}


@pytest.mark.parametrize("name", [each.name for each in LANGUAGES if each.grammar])
def test_every_grammar_gives_syntax_cuts(name: str) -> None:
    assert try_parser(name) is not None
    text = SNIPPETS[name] * 4
    middles = set()
    for seed in range(150):
        cut = choose_cut(text, random.Random(seed), max_middle_chars=60, language=name)
        if cut is not None and cut.kind is CutKind.SYNTAX:
            middles.add(text[cut.middle_start : cut.middle_end].strip())
    assert any("(" in each for each in middles)
    assert len(middles) >= 4


def test_without_a_grammar_whole_lines_are_cut() -> None:
    text = "local x = 1\n  local y = 2\nreturn x + y\n" * 5
    for seed in range(100):
        cut = choose_cut(text, random.Random(seed), max_middle_chars=60, language="lua")
        if cut is not None and cut.kind is CutKind.SYNTAX:
            assert "\n" in text[cut.middle_end - 1 : cut.middle_end + 1]
            line_start = text.rfind("\n", 0, cut.middle_start) + 1
            assert not text[line_start : cut.middle_start].strip()
