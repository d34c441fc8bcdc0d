"""Drawing tokens from log-probabilities: greedy, by temperature and top-p, and while healing.

Owns the arithmetic of one draw. Never knows rows, caches or text; each draw depends on its own
row's numbers and generator alone, so that the batch around it changes nothing.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from fimble_model.engine.healing import HealingLink, HealingPlan
from fimble_model.engine.protocol import Sampling, TokenId

__all__ = ["HealedDraw", "Uniforms", "draw", "draw_healed", "new_generator"]


def new_generator(sampling: Sampling) -> torch.Generator | None:
    """A row's own random numbers; None where none are drawn."""
    if sampling.temperature == 0.0:
        return None
    return torch.Generator(device="cpu").manual_seed(sampling.seed)


class Uniforms:
    """A row's numbers from [0, 1) in the order of its draws, for draws that are made elsewhere.

    Keeps the invariant that the i-th draw has the i-th number, however far ahead one looked: a
    draft that proves wrong costs no number.
    """

    def __init__(self, generator: torch.Generator) -> None:
        self._generator = generator
        self._unspent: list[float] = []

    def peek(self, n_draws: int) -> tuple[float, ...]:
        """The numbers of the next draws."""
        while len(self._unspent) < n_draws:
            # One by one: a vector of them might be filled in another order.
            self._unspent.append(float(torch.rand((), generator=self._generator)))
        return tuple(self._unspent[:n_draws])

    def spend(self, n_draws: int) -> None:
        """So many draws were made."""
        del self._unspent[:n_draws]


def draw(logprobs_V: Tensor, sampling: Sampling, generator: torch.Generator | None) -> int:
    """Index of the next token. Advances `generator` by one draw unless greedy.

    Top-p keeps the fewest most likely tokens whose probabilities add up to at least p
    (Holtzman et al. 2020, section 3.1).
    """
    if generator is None:
        return int(logprobs_V.argmax())
    probabilities_V = (logprobs_V.float().cpu() / sampling.temperature).softmax(dim=0)
    if sampling.top_p < 1.0:
        sorted_V, order_V = probabilities_V.sort(descending=True, stable=True)
        mass_before_V = sorted_V.cumsum(dim=0) - sorted_V
        sorted_V[mass_before_V >= sampling.top_p] = 0.0
        probabilities_V = torch.zeros_like(sorted_V).scatter_(0, order_V, sorted_V)
    return int(torch.multinomial(probabilities_V, 1, generator=generator))


class HealedDraw(NamedTuple):
    """The first token that reaches past the healing text, and how the text before is spelled.

    The plan's first `n_chain_tokens` come before it. `logprob` is that of both together, given
    that the healing text is spelled.
    """

    n_chain_tokens: int
    token_id: TokenId
    logprob: float


class _Choice(NamedTuple):
    """A link's ways on, `ids` and the joint log-probability of each and of spelling the rest."""

    ids: Tensor
    scores: Tensor
    total: float


def draw_healed(
    plan: HealingPlan,
    logprobs_LV: Tensor,
    sorted_ids: Tensor,
    sampling: Sampling,
    generator: torch.Generator | None,
) -> HealedDraw:
    """Draw along a healing plan; row l of `logprobs_LV` follows the chain's first l tokens.

    The total of a link is the probability that the rest of the text is spelled from there: the
    sum over its covering tokens, and the chain's own token times the next link's total. Each
    link then draws from the exact distribution given the text.
    """
    choices: list[_Choice] = []
    total = 0.0
    for index in range(len(plan.links) - 1, -1, -1):
        choices.append(_weigh(plan.links[index], logprobs_LV[index], sorted_ids, total))
        total = choices[-1].total
    logprob = 0.0
    for n_chain_tokens, (link, choice) in enumerate(
        zip(plan.links, reversed(choices), strict=True)
    ):
        picked = draw(choice.scores, sampling, generator)
        token_id = TokenId(int(choice.ids[picked]))
        logprob += float(choice.scores[picked]) - choice.total
        if token_id != link.next_id:
            return HealedDraw(n_chain_tokens, token_id, logprob)
    free_V = logprobs_LV[len(plan.chain)]
    token_id = TokenId(draw(free_V, sampling, generator))
    return HealedDraw(len(plan.chain), token_id, logprob + float(free_V[token_id]))


def _weigh(
    link: HealingLink, logprobs_V: Tensor, sorted_ids: Tensor, total_after: float
) -> _Choice:
    ids = sorted_ids[link.covering.start : link.covering.stop]
    scores = logprobs_V[ids]
    if link.next_id is not None and not link.next_is_covering:
        ids = torch.cat((ids, ids.new_tensor([link.next_id])))
        scores = torch.cat((scores, logprobs_V[link.next_id, None] + total_after))
    return _Choice(ids, scores, float(scores.logsumexp(dim=0)))
