"""One request's life in the engine: its known tokens, its slots, its middle and its times.

Owns the bookkeeping of a single row. Never runs the network and never sees other rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from fimble_model.engine.codec import FimCodec
from fimble_model.engine.healing import HealingPlan, plan_healing
from fimble_model.engine.memory import MemoryView
from fimble_model.engine.memory_index import MOST_ORDER, Matches
from fimble_model.engine.middle import Middle
from fimble_model.engine.pieces import Piece, Wish
from fimble_model.engine.protocol import Delta, Finish, FinishReason, Request, TokenId
from fimble_model.engine.sampling import Uniforms
from fimble_model.engine.slots import SlotRow
from fimble_model.engine.speculation import MOST_DRAFT_TOKENS, DrafterPort, SpeculationPort

__all__ = ["MOST_PENDING_BESIDE_DRAFTS", "Row", "RowTimes", "new_row"]

# A prompt with more to compute than this is new: what follows it is not known from before. Guessed.
MOST_PENDING_BESIDE_DRAFTS = 16


@dataclass(slots=True, kw_only=True)
class RowTimes:
    """When a row was added, began to run, and drew its first token; None until then."""

    added_ms: float
    started_ms: float | None = None
    first_token_ms: float | None = None

    def spans(self, now_ms: float) -> tuple[float, float, float]:
        """Milliseconds queued, in prefill and decoding, up to now."""
        started_ms = now_ms if self.started_ms is None else self.started_ms
        first_token_ms = now_ms if self.first_token_ms is None else self.first_token_ms
        return started_ms - self.added_ms, first_token_ms - started_ms, now_ms - first_token_ms


class Row:
    """Keeps the invariant that `known_ids` begins with what its slots hold.

    `known_ids` is the prompt, the healing chain as long as it is on trial, and what was
    generated. Its tokens from `n_computed` on are pending. `plan` is None where nothing heals.
    """

    def __init__(
        self, request: Request, plan: HealingPlan | None, middle: Middle, added_ms: float
    ) -> None:
        self.request = request
        self.plan = plan
        self.middle = middle
        self.times = RowTimes(added_ms=added_ms)
        self.generator: torch.Generator | None = None
        self.uniforms: Uniforms | None = None
        self.kv: SlotRow | None = None
        self.n_reused_tokens = 0
        self.n_prefilled_tokens = 0
        self.n_drafted_tokens = 0
        self.n_accepted_tokens = 0
        self.n_passes = 0
        self.n_prefill_passes = 0
        self.n_first_tokens = 0
        self.trial_logprobs: list[Tensor] = []
        self.memory: MemoryView | None = None
        self.drafter: DrafterPort | None = None
        self.drafts: list[TokenId] = []
        self.can_draft = request.speculates is not False
        self._found: dict[tuple[TokenId, ...], Matches | None] = {}
        chain = plan.chain if plan else ()
        self.known_ids: list[TokenId] = [*request.prompt.token_ids, *chain]

    @property
    def n_computed(self) -> int:
        """Tokens whose keys and values are in the row's slots."""
        return len(self.kv.token_ids) if self.kv else 0

    @property
    def n_pending(self) -> int:
        """Known tokens that the network has not seen."""
        return len(self.known_ids) - self.n_computed

    @property
    def n_known_after_prompt(self) -> int:
        """Known tokens of the middle and of the healing chain."""
        return len(self.known_ids) - len(self.request.prompt.token_ids)

    @property
    def is_in_prefill(self) -> bool:
        """True until the first token is drawn."""
        return self.times.first_token_ms is None

    @property
    def n_most_drafts(self) -> int:
        """Drafts that could be of use in the next pass.

        A row whose prompt's end is about to be computed may have its first token guessed too, but
        not while the text at the cursor is to be spelled first.
        """
        if not self.can_draft or (self.is_in_prefill and not self._may_guess_first):
            return 0
        n_tokens_left = self.request.max_new_tokens - self.middle.n_tokens
        return min(MOST_DRAFT_TOKENS, n_tokens_left - 1)

    @property
    def _may_guess_first(self) -> bool:
        return self.plan is None and 1 <= self.n_pending <= MOST_PENDING_BESIDE_DRAFTS

    @property
    def n_silent_pending(self) -> int:
        """Pending tokens whose log-probabilities nobody needs: all before the prompt's last.

        While decoding, the one pending token is needed.
        """
        if not self.is_in_prefill:
            return 0
        return max(len(self.request.prompt.token_ids) - 1 - self.n_computed, 0)

    def next_piece(self, n_tokens: int, grants_wishes: bool) -> Piece:
        """The next `n_tokens` for a pass: pending ones, and drafts as far as it goes beyond.

        A wish goes with it where the runner grants any.
        """
        assert self.kv is not None
        n_computed = self.n_computed
        pending_ids = self.known_ids[n_computed : n_computed + n_tokens]
        self.drafts = self.drafts[: n_tokens - len(pending_ids)]
        wish = self._wish() if grants_wishes else None
        n_silent = min(self.n_silent_pending, n_tokens)
        return Piece(self.kv, [*pending_ids, *self.drafts], n_silent, wish)

    def _wish(self) -> Wish | None:
        """How a runner may draw; None where healing or the memory has a say in it."""
        if self.is_in_prefill or self.memory is not None:
            return None
        n_left = self.request.max_new_tokens - self.middle.n_tokens
        sampling = self.request.sampling
        if self.generator is None:
            return Wish(0.0, 1.0, (), n_left)
        if self.uniforms is None:
            self.uniforms = Uniforms(self.generator)
        uniforms = self.uniforms.peek(len(self.drafts) + 2)
        return Wish(sampling.temperature, sampling.top_p, uniforms, n_left)

    def count_pass(self, n_tokens: int) -> None:
        """Note that the row's next `n_tokens` are computed."""
        self.n_passes += 1
        self.n_drafted_tokens += len(self.drafts)
        if self.is_in_prefill:
            n_prompt_left = max(len(self.request.prompt.token_ids) - self.n_computed, 0)
            self.n_prefill_passes += 1
            self.n_prefilled_tokens += min(n_tokens, n_prompt_left)

    def text_before(self, n_tokens_after_prompt: int) -> list[TokenId]:
        """The last tokens of the user's text and those known after it, up to some token."""
        n_prompt = len(self.request.prompt.token_ids)
        after = self.known_ids[n_prompt : n_prompt + n_tokens_after_prompt]
        return [*self.request.prompt.context_ids, *after]

    def find_in_memory(self, read_ids: Sequence[TokenId]) -> Matches | None:
        """What followed the last of these tokens in the project; None where they never stood.

        A draft that proves right was looked up when it was guessed, and is not again.
        """
        assert self.memory is not None
        key = tuple(read_ids[-MOST_ORDER:])
        if key not in self._found:
            self._found[key] = self.memory.find(key)
        return self._found[key]

    def drafter_of(self, speculation: SpeculationPort, n_most_new: int) -> DrafterPort:
        """The row's drafter, which has read all that is known of the middle."""
        if self.drafter is None:
            request = self.request
            self.drafter = speculation.drafter(
                request.prompt.token_ids,
                client=request.client,
                owner=request.owner,
                context_ids=request.prompt.context_ids,
                find=self.find_in_memory if self.memory is not None else None,
                n_most_new=n_most_new,
            )
            for token_id in self.known_ids[len(request.prompt.token_ids) :]:
                self.drafter.read(token_id)
        return self.drafter

    def settle_drafts(self, n_known_before: int) -> None:
        """After a pass with drafts: roll back to what is known now, and learn from it."""
        assert self.kv is not None
        decided_ids = self.known_ids[n_known_before:]
        if self.uniforms is not None:
            self.uniforms.spend(len(decided_ids))
        self.n_accepted_tokens += len(decided_ids) - 1
        n_kept = len(self.known_ids) - 1
        if len(self.kv.token_ids) > n_kept:
            # NOTE: rolling back gives pages up, and a step begun ahead may be writing to the last.
            self.kv.truncate(n_kept)
        self.drafts = []
        if self.drafter is not None:
            self.drafter.learn(decided_ids)

    def settle_chain(self, n_chain_tokens: int) -> None:
        """Keep the chain's first tokens, roll back the others."""
        assert self.plan is not None
        assert self.kv is not None
        n_kept = len(self.request.prompt.token_ids) + n_chain_tokens
        del self.known_ids[n_kept:]
        self.kv.truncate(n_kept)
        for token_id in self.plan.chain[:n_chain_tokens]:
            self.middle.spell(token_id)

    def progress(self) -> Delta | None:
        """New whole characters, if any."""
        text = self.middle.take_unsent()
        return Delta(request_id=self.request.request_id, text=text) if text else None

    def finish(self, reason: FinishReason, now_ms: float) -> Delta:
        """The row's last delta."""
        queue_ms, prefill_ms, decode_ms = self.times.spans(now_ms)
        finish = Finish(
            reason=reason,
            text=self.middle.text,
            tokens=self.middle.tokens,
            n_prompt_tokens=len(self.request.prompt.token_ids),
            n_reused_tokens=self.n_reused_tokens,
            queue_ms=queue_ms,
            prefill_ms=prefill_ms,
            decode_ms=decode_ms,
            n_prefilled_tokens=self.n_prefilled_tokens,
            n_drafted_tokens=self.n_drafted_tokens,
            n_accepted_tokens=self.n_accepted_tokens,
            n_passes=self.n_passes,
            n_prefill_passes=self.n_prefill_passes,
        )
        text = self.middle.take_unsent()
        return Delta(request_id=self.request.request_id, text=text, finish=finish)


def new_row(request: Request, codec: FimCodec, added_ms: float, *, can_draft: bool) -> Row:
    """A row that has neither slots nor a memory yet."""
    healing_text = request.prompt.healing_text
    plan = plan_healing(healing_text, codec.tokenizer, codec.token_index) if healing_text else None
    middle = Middle(
        token_bytes=codec.tokenizer.token_bytes,
        stop=request.stop,
        max_new_tokens=request.max_new_tokens,
        n_healing_bytes=plan.n_text_bytes if plan else 0,
        min_confidence=request.min_confidence,
    )
    row = Row(request, plan, middle, added_ms)
    row.can_draft &= can_draft
    return row
