"""What a middle costs a model, in bits: the finest measure of how well it knew it.

Owns the arithmetic. Needs more of an engine than the protocol has: the distributions themselves.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from torch import Tensor

from fimble_eval.filling.hole import Hole
from fimble_eval.filling.raw import build_request
from fimble_model.engine.codec import FimCodec
from fimble_model.engine.memory import MemoryView
from fimble_model.engine.memory_mixing import blend
from fimble_model.engine.protocol import Engine, Prompt, TokenId
from fimble_model.engine.stopping import NeverStop

__all__ = ["Bits", "Scores", "count_bits"]

# No honest model gives less to any token; without a floor one token could outweigh all others.
_LEAST_LOGPROB = math.log(1e-9)


@runtime_checkable
class Scores(Protocol):
    """An engine that tells the distributions it draws from."""

    def score(self, prompt: Prompt, token_ids: Sequence[TokenId]) -> Tensor:
        """`logprobs_LV` where each of some tokens follows."""
        ...

    def memory_of(self, scope: str, key: str | None = None) -> MemoryView:
        """What a row in a document of the scope would copy from."""
        ...


class Bits(NamedTuple):
    """Bits for `n_chars` characters, by the network alone and with the memory's word in it.

    The characters are the middle's, and those of the cut word before it that healing took back.
    """

    network: float
    with_memory: float
    n_chars: int


def count_bits(engine: Engine, hole: Hole) -> Bits | None:
    """The bits of the hole's middle; None where the engine cannot tell or the context is short."""
    codec = engine.codec
    if not isinstance(engine, Scores) or not isinstance(codec, FimCodec):
        return None
    _, request = build_request(engine, hole, NeverStop(), 1)
    prompt = request.prompt
    written = prompt.healing_text + hole.middle
    token_ids = codec.tokenizer.encode_words_inside(written).token_ids
    if not token_ids or len(prompt.token_ids) + len(token_ids) >= engine.model.context_tokens:
        return None
    scope, key = request.memory_scope, request.memory_key
    view = MemoryView() if scope is None else engine.memory_of(scope, key)
    control_ids = np.array(sorted(set(codec.tokenizer.control_ids.values())))
    network = mixed = 0.0
    for index, logprobs_V in enumerate(engine.score(prompt, token_ids).float().cpu()):
        token_id = token_ids[index]
        matches = view.find([*prompt.context_ids, *token_ids[:index]])
        mixed_V = blend(logprobs_V, matches, control_ids) if matches else logprobs_V
        network -= max(float(logprobs_V[token_id]), _LEAST_LOGPROB) / math.log(2)
        mixed -= max(float(mixed_V[token_id]), _LEAST_LOGPROB) / math.log(2)
    return Bits(network, mixed, len(written))
