"""Which text around the cursor the model sees, laid out so that its cache stays warm.

Owns the window. Chooses by counting tokens, so it runs where the engine runs; it is a pure
function of page, budget, codec and the layout of the request before.

The cache keeps the longest common beginning of two prompts. So while a user types:
    the prefix starts where it started before, and jumps ahead by a fifth of its budget only
    when that is full; the suffix ends where it ended before.
    the suffix leaves out the rest of the cursor's line where that is closers and blanks only.
Editors write and take away such closers with every bracket typed, and with the suffix at the
prompt's beginning each would throw the whole cache away. The model writes them again; the stop
rule and the fit to the right see the real line. Any other text right of the cursor is in the
suffix as it is: a change there costs the cache, but the model never sees a wrong text.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

from fimble_model.engine.protocol import (
    ModelInfo,
    Prompt,
    Request,
    RequestId,
    Sampling,
    TextCodec,
)
from fimble_model.engine.stopping import FirstOf
from fimble_server.completion.left_out import LeftOut, count_left_out
from fimble_server.completion.looping import StopInLoop
from fimble_server.completion.overlap import is_only_closers
from fimble_server.completion.page import Page
from fimble_server.completion.plan import Plan
from fimble_server.completion.surrounding import Surrounded

__all__ = [
    "LaidOut",
    "PromptBudget",
    "PromptLayout",
    "build_requests",
    "lay_out",
    "plan_budget",
]

# Prefill is what a user waits for after a jump elsewhere; more text than this does not pay.
_MAX_CONTEXT_TOKENS_CPU = 1_024  # guessed; measure
_MAX_CONTEXT_TOKENS_GPU = 4_096  # guessed; measure
# A longer stretch than this many characters a token is not looked at.
_MOST_CHARS_PER_TOKEN = 8
# What other files may take, out of the prefix's share. The samples of our models give them up to
# 45 % of a window. Guessed; measure with a model that was trained so.
_SURROUNDING_SHARE = 0.3
_REFILL_SHARE = 0.8
_LEAST_SHARE = 0.4
_N_CONTROL_TOKENS = 8
_HEAD_CHARS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptBudget:
    """Tokens for each part; together they fit the model's context."""

    n_prefix_tokens: int
    n_suffix_tokens: int
    n_new_tokens: int
    n_surrounding_tokens: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptLayout:
    """Where the last window stood, as far as the next one can keep to it.

    `prefix_start` counts characters of the page; `prefix_head` is the text found there, by
    which it is known again. `n_text_chars` tells how far an edit further up has moved it.
    """

    prefix_start: int
    prefix_head: str = field(repr=False)
    n_text_chars: int
    suffix: str = field(repr=False)
    n_suffix_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LaidOut:
    """A prompt, and the layout to hand in with the next request of its buffer.

    `left_out` is what the budget had no room for. Closers behind the cursor do not count.
    """

    prompt: Prompt
    layout: PromptLayout
    left_out: LeftOut = field(default_factory=LeftOut)


def plan_budget(model: ModelInfo, plan: Plan) -> PromptBudget:
    """Share out the model's context.

    What is kept free for new tokens has two sizes only, and the suffix one, so that the window
    does not move with every plan.
    """
    most = _MAX_CONTEXT_TOKENS_CPU if model.device == "cpu" else _MAX_CONTEXT_TOKENS_GPU
    n_context = min(model.context_tokens, most)
    n_reserved = n_context // 8 if plan.max_new_tokens <= n_context // 8 else n_context // 4
    n_suffix = n_context // 5
    return PromptBudget(
        n_prefix_tokens=max(1, n_context - n_reserved - n_suffix - _N_CONTROL_TOKENS),
        n_suffix_tokens=n_suffix,
        n_new_tokens=max(1, min(plan.max_new_tokens, n_reserved)),
        n_surrounding_tokens=round(_SURROUNDING_SHARE * n_context),
    )


def lay_out(
    page: Page,
    last: PromptLayout | None,
    budget: PromptBudget,
    codec: TextCodec,
    surrounded: Surrounded | None = None,
) -> LaidOut:
    """The prompt for a page, as much like the last one as is true to the text.

    What the surroundings take is taken from the prefix.
    """
    surroundings, n_surrounding_tokens = None, 0
    if surrounded is not None:
        surroundings, n_surrounding_tokens = surrounded.surroundings, surrounded.n_tokens
        n_left = max(1, budget.n_prefix_tokens - n_surrounding_tokens)
        budget = dataclasses.replace(budget, n_prefix_tokens=n_left)
    suffix, n_suffix_tokens = _choose_suffix(page, last, budget, codec)
    n_others = n_suffix_tokens + n_surrounding_tokens
    n_most_tokens = budget.n_prefix_tokens + n_others + _N_CONTROL_TOKENS

    def encode(start: int) -> Prompt:
        prefix = page.text[start : page.cursor]
        return codec.encode_fim(prefix=prefix, suffix=suffix, surroundings=surroundings)

    start = None if last is None else _find_start(page, last, budget)
    prompt = None
    if start is not None:
        prompt = encode(start)
        n_prefix_tokens = _n_tokens(prompt, codec) - n_others
        is_thin = start > 0 and n_prefix_tokens < _LEAST_SHARE * budget.n_prefix_tokens
        if is_thin or _n_tokens(prompt, codec) > n_most_tokens:
            prompt = None
    n_wanted_tokens = round(_REFILL_SHARE * budget.n_prefix_tokens)
    while prompt is None or start is None or _n_tokens(prompt, codec) > n_most_tokens:
        start = _choose_start(page, n_wanted_tokens, codec)
        prompt = encode(start)
        if n_wanted_tokens == 0:
            break
        # Text cut at a token's border may take a token more than it did: ask for fewer.
        n_wanted_tokens = n_wanted_tokens * 4 // 5
    layout = PromptLayout(
        prefix_start=start,
        prefix_head=page.text[start : min(page.cursor, start + _HEAD_CHARS)],
        n_text_chars=len(page.text),
        suffix=suffix,
        n_suffix_tokens=n_suffix_tokens,
    )
    suffix_end = _suffix_start(page) + len(suffix)
    left_out = count_left_out(page.text, start, suffix_end)
    return LaidOut(prompt=prompt, layout=layout, left_out=left_out)


def build_requests(
    laid_out: LaidOut,
    plan: Plan,
    budget: PromptBudget,
    *,
    memory_scope: str | None = None,
    memory_key: str | None = None,
) -> tuple[Request, ...]:
    """One greedy row, and sampled ones beside it where the plan wants several candidates."""
    return tuple(
        Request(
            request_id=RequestId(str(index)),
            prompt=laid_out.prompt,
            max_new_tokens=budget.n_new_tokens,
            stop=FirstOf((StopInLoop(), plan.stop)),
            sampling=Sampling()
            if index == 0
            else Sampling(temperature=0.8, top_p=0.95, seed=index),
            # Of several candidates the unsure ones are looked at too.
            min_confidence=plan.min_confidence if plan.n_candidates == 1 else 0.0,
            memory_scope=memory_scope,
            memory_key=memory_key,
        )
        for index in range(plan.n_candidates)
    )


def _n_tokens(prompt: Prompt, codec: TextCodec) -> int:
    """Tokens the engine must hold, those that spell the healed text again included."""
    n_healing_tokens = len(codec.encode(prompt.healing_text)) if prompt.healing_text else 0
    return len(prompt.token_ids) + n_healing_tokens


def _find_start(page: Page, last: PromptLayout, budget: PromptBudget) -> int | None:
    """Where the last window's start is now; None where it is gone or no use any more."""
    n_moved_chars = len(page.text) - last.n_text_chars
    for start in (last.prefix_start, last.prefix_start + n_moved_chars):
        is_found = start == 0 or page.text.startswith(last.prefix_head, max(0, start))
        is_in_reach = page.cursor - start <= _MOST_CHARS_PER_TOKEN * budget.n_prefix_tokens
        if is_found and 0 <= start <= page.cursor and is_in_reach:
            return start
    return None


def _choose_start(page: Page, n_tokens: int, codec: TextCodec) -> int:
    """The start of a new window of at most about `n_tokens`, at a line's start if one is near."""
    earliest = max(0, page.cursor - _MOST_CHARS_PER_TOKEN * n_tokens)
    token_ids = codec.encode(page.text[earliest : page.cursor])
    if len(token_ids) > n_tokens:
        kept_ids = token_ids[len(token_ids) - n_tokens :]
        earliest = page.cursor - len(codec.decode(kept_ids))
    if earliest == 0:
        return 0
    line_start = page.text.find("\n", earliest - 1, page.cursor) + 1
    is_near = line_start > 0 and 2 * (page.cursor - line_start) >= page.cursor - earliest
    return line_start if is_near else earliest


def _suffix_start(page: Page) -> int:
    """Where the suffix begins: behind the closers that are all that follows on the line."""
    right = page.line_right
    return page.cursor + (len(right) if is_only_closers(right) else 0)


def _choose_suffix(
    page: Page, last: PromptLayout | None, budget: PromptBudget, codec: TextCodec
) -> tuple[str, int]:
    """The suffix and its tokens: the last one while it is true and not too short."""
    start = _suffix_start(page)
    if last is not None and page.text.startswith(last.suffix, start):
        is_all = start + len(last.suffix) == len(page.text)
        if is_all or 2 * last.n_suffix_tokens >= budget.n_suffix_tokens:
            return last.suffix, last.n_suffix_tokens
    kept = page.text[start : start + _MOST_CHARS_PER_TOKEN * budget.n_suffix_tokens]
    token_ids = codec.encode(kept)
    n_wanted_tokens = budget.n_suffix_tokens
    while len(token_ids) > budget.n_suffix_tokens:
        kept = codec.decode(token_ids[:n_wanted_tokens])
        line_end = kept.rfind("\n") + 1
        kept = kept[:line_end] if 2 * line_end >= len(kept) else kept
        token_ids = codec.encode(kept)
        n_wanted_tokens -= 1
    return kept, len(token_ids)
