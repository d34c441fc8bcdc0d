"""The ways to mix what a network and a project memory say, and what each way makes of a text.

Owns the ways that are compared and their names: either alone, both in a fixed proportion, both
as the product mixes them. And networks that know more than the one at hand, to see from where on
the memory does not pay: at every token as many nats more for what is right. That is a simulation,
and a kind one to the network: a real one would be sure of wrong things too.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fimble_model.engine.memory_index import Matches
from fimble_model.engine.memory_mixing import blend

__all__ = ["KNOWS_MORE_NATS", "WAYS", "Judgements", "TrueEnd", "bits_of", "mix_in_all_ways"]

_FIXED_WEIGHTS = (0.2, 0.4, 0.6)
KNOWS_MORE_NATS = (1.0, 2.0, 3.0, 4.0, 6.0, 8.0)
_LEAST_P = 1e-9
WAYS = (
    *("network", "memory"),
    *(f"fixed weight {weight}" for weight in _FIXED_WEIGHTS),
    "by confidence",
)


@dataclass(slots=True)
class Judgement:
    """One way's bits over all texts, and at how many cursors it writes the line's end exactly."""

    bits: float = 0.0
    n_exact: int = 0


@dataclass(slots=True, kw_only=True)
class Judgements:
    """Every way's figures over the same texts. Keeps the invariant that all saw the same ones."""

    n_cases: int = 0
    n_chars: int = 0
    by_way: dict[str, Judgement] = field(default_factory=dict)

    def add(self, n_chars: int, bits: Mapping[str, float], is_exact: Mapping[str, bool]) -> None:
        """One more text."""
        self.n_cases += 1
        self.n_chars += n_chars
        for way, value in bits.items():
            judgement = self.by_way.setdefault(way, Judgement())
            judgement.bits += value
            judgement.n_exact += is_exact.get(way, False)

    def bits_per_char(self) -> dict[str, float]:
        """Bits a character by way."""
        return {way: round(each.bits / self.n_chars, 4) for way, each in self.by_way.items()}

    def exact_shares(self) -> dict[str, float]:
        """The share of ends of lines that each way writes exactly, of the ways that write."""
        return {way: round(self.by_way[way].n_exact / self.n_cases, 4) for way in WAYS}


def mix_in_all_ways(
    logprobs_V: Tensor, matches: Matches | None, control_ids: NDArray[np.int64], truth: int
) -> Iterator[tuple[str, Tensor]]:
    """The next token's log-probabilities by each way, `truth` being what comes next."""
    yield "network", logprobs_V
    yield "memory", _memory_alone(logprobs_V, matches, control_ids)
    for weight in _FIXED_WEIGHTS:
        yield f"fixed weight {weight}", _fixed(logprobs_V, matches, weight)
    yield "by confidence", _ours(logprobs_V, matches, control_ids)
    for nats in KNOWS_MORE_NATS:
        stronger_V = _knowing_more(logprobs_V, truth, nats)
        yield f"network that knows {nats:g} nats more", stronger_V
        yield f"the same by confidence, {nats:g}", _ours(stronger_V, matches, control_ids)


def bits_of(mixed_V: Tensor, truth: int) -> float:
    """What a way pays for the token that comes next."""
    return -max(float(mixed_V[truth]), math.log(_LEAST_P)) / math.log(2)


def _ours(logprobs_V: Tensor, matches: Matches | None, control_ids: NDArray[np.int64]) -> Tensor:
    return logprobs_V if matches is None else blend(logprobs_V, matches, control_ids)


def _memory_alone(
    logprobs_V: Tensor, matches: Matches | None, control_ids: NDArray[np.int64]
) -> Tensor:
    """Beside a network that knows nothing."""
    uniform_V = torch.full_like(logprobs_V, -math.log(len(logprobs_V)))
    return _ours(uniform_V, matches, control_ids)


def _fixed(logprobs_V: Tensor, matches: Matches | None, weight: float) -> Tensor:
    """The network and what followed the longest known contexts, in one proportion."""
    if matches is None:
        return logprobs_V
    longest = matches.next_ids[matches.n_equal == matches.n_equal.max()]
    counts_V = torch.bincount(torch.from_numpy(longest).long(), minlength=len(logprobs_V))
    return ((1 - weight) * logprobs_V.exp() + weight * counts_V / len(longest)).log()


def _knowing_more(logprobs_V: Tensor, truth: int, nats: float) -> Tensor:
    logits_V = logprobs_V.clone()
    logits_V[truth] += nats
    return logits_V.log_softmax(dim=0)


class TrueEnd:
    """A line's true end as tokens. Keeps the invariant that `index` of them are looked at.

    A way writes the end exactly where each of the tokens is the one it holds most likely, those
    that spell the cut word at the cursor among the ones that spell it, and then the line ends.
    """

    def __init__(
        self, token_bytes: Sequence[bytes], token_ids: Sequence[int], *, healed: str, end: str
    ) -> None:
        self._bytes = token_bytes
        self._token_ids = token_ids
        self._healed = healed.encode()
        self._n_bytes = len(self._healed) + len(end.encode())
        self._n_read = 0

    def agrees(self, index: int, ways: Mapping[str, Tensor]) -> dict[str, bool]:
        """Whether each way would write the next token; True beyond the line's end."""
        n_read, self._n_read = self._n_read, self._n_read + len(self._bytes[self._token_ids[index]])
        if n_read > self._n_bytes:
            return dict.fromkeys(ways, True)
        allowed = self._allowed(self._healed[n_read:])
        best = {
            way: int((logprobs_V if allowed is None else logprobs_V + allowed).argmax())
            for way, logprobs_V in ways.items()
        }
        if n_read == self._n_bytes:
            return {way: self._ends(each) for way, each in best.items()}
        return {way: each == self._token_ids[index] for way, each in best.items()}

    def _ends(self, token_id: int) -> bool:
        """Whether a token ends the line: a control token, or one that begins with a line feed."""
        return self._bytes[token_id][:1] in (b"", b"\r", b"\n")

    def _allowed(self, healed: bytes) -> Tensor | None:
        """Zero for tokens that spell what is left of the cut word, else minus infinity."""
        if not healed:
            return None
        fits = [
            bool(written) and (written.startswith(healed) or healed.startswith(written))
            for written in self._bytes
        ]
        return torch.where(torch.tensor(fits), 0.0, -math.inf)
