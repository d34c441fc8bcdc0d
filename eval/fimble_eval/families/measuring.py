"""One family's network beside transformers': how far its logits are off, its tokens, its speed.

Owns the measuring of one checkpoint. Both run in this process on the same threads, in float32; ours
in int8 too, on whichever kernels take the network.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fimble_eval.families.shapes import FamilyShape, write_checkpoint
from fimble_model.assembly import layout_of
from fimble_model.engine.kv_cache import KvCache, KvRow
from fimble_model.engine.protocol import TokenId
from fimble_model.engine.ragged_pass import Piece, run_pass
from fimble_model.network.device import Dtype, Placement
from fimble_model.network.transformer import Transformer
from fimble_model.network.weights import load_network

__all__ = ["N_GREEDY", "FamilyFigures", "measure_family"]

N_GREEDY = 64
_N_PROMPT = 256
_CHUNKS = (1, 63, 65, 7, 120)
_N_TIMED = 5
_N_DECODED = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class FamilyFigures:
    """What was found of one checkpoint. Differences are the largest over all logits' logarithms of
    probability; `greedy_equal` counts tokens of `N_GREEDY` up to the first that differs."""

    family: str
    shape: str
    n_parameters: int
    difference: float
    cached_difference: float
    greedy_equal: int
    prefill_ms: float
    prefill_theirs_ms: float
    decode_ms: float
    decode_theirs_ms: float
    int8_kernels: str
    int8_prefill_ms: float
    int8_decode_ms: float


def measure_family(
    shape: FamilyShape, *, n_threads: int = 1, n_timed: int = _N_TIMED
) -> FamilyFigures:
    """The figures of a checkpoint that is made for it. Sets torch's threads for the process."""
    with tempfile.TemporaryDirectory() as folder:
        theirs = write_checkpoint(shape, Path(folder))
        ours = _OurNetwork(Path(folder), Dtype.FLOAT32, n_threads)
        in_int8 = _OurNetwork(Path(folder), Dtype.INT8, n_threads)
    torch.set_num_threads(n_threads)
    prompt = _prompt(ours.n_vocabulary)
    expected_LV = _their_logprobs(theirs, prompt)
    with torch.inference_mode():
        return FamilyFigures(
            family=shape.model_type,
            shape=shape.words,
            n_parameters=ours.n_parameters,
            difference=_largest(ours.logprobs(prompt, (len(prompt),)), expected_LV),
            cached_difference=_largest(ours.logprobs(prompt, _CHUNKS), expected_LV),
            greedy_equal=_n_equal(
                ours.write(prompt, N_GREEDY), _their_greedy(theirs, prompt, N_GREEDY)
            ),
            prefill_ms=_median_ms(lambda: ours.prefill(prompt), n_timed),
            prefill_theirs_ms=_median_ms(lambda: _their_prefill(theirs, prompt), n_timed),
            decode_ms=ours.decode_ms(prompt, n_timed),
            decode_theirs_ms=_their_decode_ms(theirs, prompt, n_timed),
            int8_kernels=in_int8.kernels,
            int8_prefill_ms=_median_ms(lambda: in_int8.prefill(prompt), n_timed),
            int8_decode_ms=in_int8.decode_ms(prompt, n_timed),
        )


class _OurNetwork:
    """A network and its cache. Every call begins with an empty row and ends with none."""

    def __init__(self, folder: Path, dtype: Dtype, n_threads: int) -> None:
        placement = Placement(device="cpu", dtype=dtype, n_threads=n_threads)
        self._network: Transformer = load_network(folder, placement)
        self._cache = KvCache(layout_of(self._network, placement), 2**26)
        self.n_vocabulary = self._network.config.vocabulary_size
        self.n_parameters = self._network.config.n_parameters
        native = self._network.native
        self.kernels = "torch" if native is None else native.kernels_name

    def logprobs(self, prompt: list[TokenId], chunks: tuple[int, ...]) -> Tensor:
        """Of all the prompt's tokens, `logprobs_LV`, computed chunk by chunk."""
        row, found, start = self._row(), [], 0
        for n_tokens in (*chunks, len(prompt) - sum(chunks)):
            piece = Piece(row, prompt[start : start + n_tokens], 0)
            found += self._run(piece) if n_tokens else []
            start += n_tokens
        self._cache.discard(row)
        return torch.cat(found)

    def write(self, prompt: list[TokenId], n_tokens: int) -> list[int]:
        """Greedy tokens after the prompt, each in a pass of its own."""
        row = self._row()
        written: list[int] = []
        pending = prompt
        while len(written) < n_tokens:
            (logprobs_LV,) = self._run(Piece(row, pending, len(pending) - 1))
            written.append(int(logprobs_LV[-1].argmax()))
            pending = [TokenId(written[-1])]
        self._cache.discard(row)
        return written

    def prefill(self, prompt: list[TokenId]) -> None:
        """One pass over the prompt, with an answer at its end."""
        row = self._row()
        self._run(Piece(row, prompt, len(prompt) - 1))
        self._cache.discard(row)

    def decode_ms(self, prompt: list[TokenId], n_timed: int) -> float:
        """The median time of a pass of one token after the prompt."""
        row = self._row()
        self._run(Piece(row, prompt, len(prompt) - 1))
        spent_ms = _median_ms(
            lambda: self._run(Piece(row, [prompt[0]], 0)), max(n_timed, _N_DECODED)
        )
        self._cache.discard(row)
        return spent_ms

    def _row(self) -> KvRow:
        row = self._cache.try_acquire((), _N_PROMPT + N_GREEDY)
        assert row is not None, "an empty cache without room"
        return row

    def _run(self, piece: Piece) -> list[Tensor]:
        return run_pass(self._network, self._cache.pool, [piece])


def _prompt(n_vocabulary: int) -> list[TokenId]:
    generator = torch.Generator().manual_seed(3)
    ids = torch.randint(0, n_vocabulary, (_N_PROMPT,), generator=generator)
    return [TokenId(int(token_id)) for token_id in ids]


def _their_logprobs(network: Any, prompt: list[TokenId]) -> Tensor:
    with torch.inference_mode():
        logits_LV: Tensor = network(torch.tensor([prompt])).logits[0]
    return logits_LV.float().log_softmax(dim=-1)


def _their_greedy(network: Any, prompt: list[TokenId], n_tokens: int) -> list[int]:
    cache, pending, written = None, torch.tensor([prompt]), []
    for _ in range(n_tokens):
        answer = network(pending, past_key_values=cache, use_cache=True)
        cache = answer.past_key_values
        written.append(int(answer.logits[0, -1].argmax()))
        pending = torch.tensor([[written[-1]]])
    return written


def _their_prefill(network: Any, prompt: list[TokenId]) -> Any:
    return network(torch.tensor([prompt]), use_cache=True, logits_to_keep=1)


def _their_decode_ms(network: Any, prompt: list[TokenId], n_timed: int) -> float:
    cache = _their_prefill(network, prompt).past_key_values
    token = torch.tensor([[prompt[0]]])
    return _median_ms(
        lambda: network(token, past_key_values=cache, use_cache=True), max(n_timed, _N_DECODED)
    )


def _median_ms(call: Callable[[], object], n_times: int) -> float:
    call()
    spent = []
    for _ in range(n_times):
        started_s = time.perf_counter()
        call()
        spent.append((time.perf_counter() - started_s) * 1000)
    return statistics.median(spent)


def _largest(ours_LV: Tensor, theirs_LV: Tensor) -> float:
    return float((ours_LV - theirs_LV).abs().max())


def _n_equal(ours: list[int], theirs: list[int]) -> int:
    pairs = zip(ours, theirs, strict=True)
    return next((index for index, (mine, other) in enumerate(pairs) if mine != other), len(ours))
