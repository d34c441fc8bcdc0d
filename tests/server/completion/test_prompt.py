"""Which text the model sees: golden windows, and laws of how they stay while a user types."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fimble_model.engine.codec import FimCodec
from fimble_model.engine.prefix import n_common_tokens
from fimble_model.engine.protocol import ModelInfo, TextCodec, TokenId
from fimble_model.engine.stopping import NeverStop
from fimble_model.text.fim_matching import find_fim_format
from fimble_model.text.tokenizer import parse_tokenizer
from fimble_server.completion.page import page_of
from fimble_server.completion.plan import Mode, Plan
from fimble_server.completion.prompt import (
    PromptBudget,
    PromptLayout,
    build_requests,
    lay_out,
    plan_budget,
)
from fimble_testing.fake_engine import FAKE_MODEL, CharCodec, Prompted, read_prompt
from fimble_testing.marked_text import CURSOR_MARK, snapshot_of
from fimble_testing.tiny_tokenizers import TRAINING_TEXT, build_tokenizer_json

GOLDEN = Path(__file__).parents[2] / "golden" / "prompts" / "windows.txt"
CHARS = CharCodec()


def _budget(n_prefix: int = 1_000, n_suffix: int = 300) -> PromptBudget:
    return PromptBudget(n_prefix_tokens=n_prefix, n_suffix_tokens=n_suffix, n_new_tokens=20)


def _plan(*, max_new_tokens: int = 20, n_candidates: int = 1) -> Plan:
    return Plan(
        mode=Mode.ACCELERATION,
        rule="test",
        wanted=True,
        max_lines=4,
        max_new_tokens=max_new_tokens,
        stop=NeverStop(),
        n_candidates=n_candidates,
        deadline_ms=100.0,
        min_confidence=0.0,
    )


def _sections() -> list[dict[str, str]]:
    cases: list[dict[str, str]] = []
    for written in GOLDEN.read_text(encoding="utf-8").replace("␍", "\r").split("=== ")[1:]:
        name, _, body = written.partition("\n")
        case = {"name": name}
        for section in ("\n" + body).split("\n--- ")[1:]:
            kind, _, text = section.removesuffix("\n").partition("\n")
            case[kind] = text
        cases.append(case)
    return cases


@pytest.mark.parametrize("case", _sections(), ids=lambda case: case["name"])
def test_golden_window(case: dict[str, str]) -> None:
    sizes = dict(line.split("=") for line in case.get("budget", "").split())
    budget = _budget(int(sizes.get("prefix", 1_000)), int(sizes.get("suffix", 300)))
    snapshot = dataclasses.replace(snapshot_of(case["buffer"]), selected_text=case.get("selected"))
    laid_out = lay_out(page_of(snapshot), None, budget, CHARS)
    expected = Prompted(prefix=case["prefix"], suffix=case["suffix"])
    assert read_prompt(laid_out.prompt) == expected


def _fim_codec() -> FimCodec:
    tokenizer = parse_tokenizer(build_tokenizer_json("fimble"))
    fim_format = find_fim_format(
        model_type="qwen3",
        control_strings=tokenizer.control_ids.keys(),
        stated_family="fimble",
        stated_orders=("spm",),
    )
    return FimCodec(tokenizer, fim_format)


def _typed(text: str, start: int, n_chars: int, *, closes_brackets: bool) -> list[str]:
    """Marked text after each key of typing `[start, start + n_chars)` anew."""
    left, body, right = text[:start], text[start : start + n_chars], text[start + n_chars :]
    marked: list[str] = []
    closers: list[str] = []
    for sign in body:
        if closers and sign == closers[-1]:
            closers.pop()
        elif closes_brackets and sign in "([{":
            closers.append(")]}"["([{".index(sign)])
        left += sign
        if sign == "\n":
            closers.clear()
        marked.append(left + CURSOR_MARK + "".join(reversed(closers)) + right)
    return marked


@pytest.mark.parametrize("closes_brackets", [False, True])
def test_typing_keeps_nine_tenths_of_the_prompt(closes_brackets: bool) -> None:
    """Also where the editor writes closing brackets, and past several jumps of the window."""
    codec = _fim_codec()
    text = TRAINING_TEXT * 4
    start = text.index("    def transfer", len(TRAINING_TEXT))
    keys = _typed(text, start, 1_200, closes_brackets=closes_brackets)
    layout: PromptLayout | None = None
    last_ids: tuple[TokenId, ...] = ()
    n_same = n_all = 0
    for marked in keys:
        laid_out = lay_out(page_of(snapshot_of(marked)), layout, _budget(300, 100), codec)
        layout, token_ids = laid_out.layout, laid_out.prompt.token_ids
        if last_ids:
            n_same += n_common_tokens(token_ids, last_ids)
            n_all += len(token_ids)
        last_ids = token_ids
    assert n_same / n_all > 0.95


TEXTS = st.text(alphabet="ab )\n😀é", max_size=120)


@settings(max_examples=60)
@given(TEXTS, TEXTS, st.integers(1, 60), st.integers(1, 40))
@pytest.mark.parametrize("codec", [CHARS, _fim_codec()], ids=["chars", "bytes"])
def test_a_prompt_fits_its_budget_and_is_true_to_the_text(
    codec: TextCodec, left: str, right: str, n_prefix: int, n_suffix: int
) -> None:
    """Nothing is shown that does not stand there, and what is shown ends at the cursor."""
    page = page_of(snapshot_of(left + CURSOR_MARK + right))
    laid_out = lay_out(page, None, _budget(n_prefix, n_suffix), codec)
    assert len(laid_out.prompt.token_ids) <= n_prefix + n_suffix + 8
    assert laid_out.layout.suffix in right
    assert 0 <= laid_out.layout.prefix_start <= page.cursor
    if isinstance(codec, CharCodec):
        assert left.endswith(read_prompt(laid_out.prompt).prefix)


@settings(max_examples=60)
@given(TEXTS, TEXTS, st.integers(1, 60), st.integers(1, 40))
def test_what_was_cut_to_fit_is_counted_and_nothing_else_is(
    left: str, right: str, n_prefix: int, n_suffix: int
) -> None:
    """What was left out and what was shown add up to the file, but for closers at the cursor."""
    page = page_of(snapshot_of(left + CURSOR_MARK + right))
    laid_out = lay_out(page, None, _budget(n_prefix, n_suffix), CHARS)
    shown, left_out = read_prompt(laid_out.prompt), laid_out.left_out
    closers = page.line_right if not page.line_right.strip(" )") else ""
    assert left_out.n_chars_before + len(shown.prefix) == page.cursor
    n_after = len(page.text) - page.cursor - len(shown.suffix) - left_out.n_chars_after
    assert n_after == len(closers)
    assert left_out.n_lines_before == page.text.count("\n", 0, left_out.n_chars_before)
    end = len(page.text) - left_out.n_chars_after
    assert left_out.n_lines_after == page.text.count("\n", end)


@settings(max_examples=60)
@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=2, max_size=5))
def test_whatever_was_before_the_window_is_true_to_the_text(pairs: list[tuple[str, str]]) -> None:
    """A layout of another text, or of a place far away, does no harm."""
    layout = None
    for left, right in pairs:
        page = page_of(snapshot_of(left + CURSOR_MARK + right))
        laid_out = lay_out(page, layout, _budget(40, 20), CHARS)
        prompted = read_prompt(laid_out.prompt)
        assert left.endswith(prompted.prefix)
        assert prompted.suffix in right
        assert len(prompted.prefix) <= 40 + 8
        layout = laid_out.layout


def test_the_window_stays_when_lines_above_it_come_and_go() -> None:
    """An import added at the top moves all offsets, not the text that the model sees."""
    body = "".join(f"line_{index} = {index}\n" for index in range(40))
    first = lay_out(page_of(snapshot_of(body + "x<|>")), None, _budget(200, 50), CHARS)
    page = page_of(snapshot_of("import os\n" + body + "xy<|>"))
    second = lay_out(page, first.layout, _budget(200, 50), CHARS)
    assert read_prompt(second.prompt).prefix == read_prompt(first.prompt).prefix + "y"


def test_going_back_up_fills_the_window_again() -> None:
    body = "".join(f"line_{index} = {index}\n" for index in range(40))
    first = lay_out(page_of(snapshot_of(body + "x<|>")), None, _budget(200, 50), CHARS)
    earlier = body[: first.layout.prefix_start + 20]
    page = page_of(snapshot_of(earlier + CURSOR_MARK + body[len(earlier) :]))
    second = lay_out(page, first.layout, _budget(200, 50), CHARS)
    assert len(read_prompt(second.prompt).prefix) > 100


@pytest.mark.parametrize("context_tokens", [8, 64, 512, 32_768])
@pytest.mark.parametrize("max_new_tokens", [1, 64, 256])
def test_budgets_fit_the_context(context_tokens: int, max_new_tokens: int) -> None:
    model: ModelInfo = dataclasses.replace(FAKE_MODEL, context_tokens=context_tokens)
    budget = plan_budget(model, _plan(max_new_tokens=max_new_tokens))
    n_tokens = budget.n_prefix_tokens + budget.n_suffix_tokens + budget.n_new_tokens
    assert n_tokens <= context_tokens
    assert min(budget.n_prefix_tokens, budget.n_new_tokens) >= 1


def test_candidates_share_the_prompt_and_differ_in_their_draws() -> None:
    plan = _plan(n_candidates=3)
    laid_out = lay_out(page_of(snapshot_of("x<|>")), None, _budget(), CHARS)
    requests = build_requests(laid_out, plan, _budget())
    assert {request.prompt for request in requests} == {laid_out.prompt}
    assert [request.sampling.temperature > 0 for request in requests] == [False, True, True]
    assert len({request.sampling.seed for request in requests}) == 3
