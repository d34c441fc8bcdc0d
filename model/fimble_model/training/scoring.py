"""How good a network is on packages it never saw.

Owns the measures: bits per character from left to right, and exact matches of lines completed
greedily through SPM prompts. Does without the engine, so that what is measured is the network.
"""

from __future__ import annotations

import lzma
import math
import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional

from fimble_model.network.attention import DenseCausal, attend_cached
from fimble_model.network.transformer import Transformer
from fimble_model.training.documents import Document
from fimble_model.training.samples import Layout, SampleMaker, trim_prefix, trim_suffix
from fimble_model.training.tokenizer import END_TOKEN

__all__ = [
    "LanguageScore",
    "LineCase",
    "Score",
    "choose_line_cases",
    "complete_line",
    "score_languages",
    "score_network",
]

_MAX_LINE_TOKENS = 48
# Less text of a language than this says nothing about it.
_MIN_LANGUAGE_CHARS = 4_000
_MAX_LINE_CHARS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class LineCase:
    """A line to be completed: the prefix ends in it, the suffix starts at its end."""

    prefix: str
    line_end: str
    suffix: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """Measured on held-out packages. Shares are of cases answered exactly."""

    bits_per_char: float
    xz_bits_per_char: float
    n_chars: int
    line_end_share: float
    whole_line_share: float
    n_cases: int


def score_network(
    network: Transformer,
    tokenizer: Tokenizer,
    texts: Sequence[str],
    *,
    n_chars: int = 200_000,
    n_cases: int = 200,
    seed: int = 0,
) -> Score:
    """Measure a network on held-out texts; the same seed chooses the same text and cases."""
    rng = random.Random(seed)
    order = rng.sample(list(texts), len(texts))
    measured = _first_texts(order, n_chars)
    n_measured = sum(map(len, measured))
    shares = [
        sum(complete_line(network, tokenizer, case) == case.line_end.rstrip() for case in cases)
        / max(len(cases), 1)
        for cases in (
            choose_line_cases(texts, rng, n_cases=n_cases, is_whole_line=is_whole_line)
            for is_whole_line in (False, True)
        )
    ]
    return Score(
        bits_per_char=_count_bits(network, tokenizer, measured) / n_measured,
        xz_bits_per_char=8 * len(lzma.compress("".join(measured).encode(), preset=9)) / n_measured,
        n_chars=n_measured,
        line_end_share=shares[0],
        whole_line_share=shares[1],
        n_cases=n_cases,
    )


class LanguageScore(NamedTuple):
    """Bits per character from left to right, and on how many characters of one language."""

    bits_per_char: float
    n_chars: int


def score_languages(
    network: Transformer,
    tokenizer: Tokenizer,
    documents: Sequence[Document],
    *,
    n_chars: int = 40_000,
    min_chars: int = _MIN_LANGUAGE_CHARS,
    seed: int = 0,
) -> dict[str, LanguageScore]:
    """Measure each language on about `n_chars` characters; the same seed chooses the same text.

    A language with less than `min_chars` is left out.
    """
    by_language: dict[str, list[str]] = defaultdict(list)
    for document in documents:
        by_language[document.language].append(document.text)
    scores = {}
    for language, texts in sorted(by_language.items()):
        order = random.Random(f"{seed}/{language}").sample(texts, len(texts))
        measured = _cut_to(order, n_chars)
        n_measured = sum(map(len, measured))
        if n_measured >= min_chars:
            bits = _count_bits(network, tokenizer, measured)
            scores[language] = LanguageScore(bits / n_measured, n_measured)
    return scores


def _cut_to(texts: Sequence[str], n_chars: int) -> list[str]:
    """The first `n_chars` characters of the texts; the last one taken may be cut."""
    taken: list[str] = []
    for text in texts:
        n_left = n_chars - sum(map(len, taken))
        if n_left <= 0:
            break
        taken.append(text[:n_left])
    return taken


@torch.no_grad()
def _count_bits(network: Transformer, tokenizer: Tokenizer, texts: Sequence[str]) -> float:
    """Bits that the texts cost, each window of the context read from its start."""
    n_window = network.config.max_positions
    end_id = tokenizer.token_to_id(END_TOKEN)
    nats = 0.0
    for text in texts:
        token_ids = tokenizer.encode(text, add_special_tokens=False).ids
        # The end token stands before each window, so that its first token is predicted too.
        for start in range(0, len(token_ids), n_window - 1):
            window = torch.tensor([end_id, *token_ids[start : start + n_window - 1]])
            window = window.to(network.embedding.weight.device)
            logits_NV = _logits(network, window[:-1])
            nats += float(functional.cross_entropy(logits_NV, window[1:], reduction="sum"))
    return nats / math.log(2)


def _first_texts(texts: Sequence[str], n_chars: int) -> list[str]:
    """Texts from the start of the sequence, until they hold `n_chars` characters."""
    taken: list[str] = []
    for text in texts:
        if sum(map(len, taken)) >= n_chars:
            break
        taken.append(text)
    return taken


def _logits(network: Transformer, token_ids_N: Tensor) -> Tensor:
    n_tokens = len(token_ids_N)
    attend = DenseCausal(n_rows=1, n_tokens=n_tokens)
    position_ids_N = torch.arange(n_tokens, device=token_ids_N.device)
    return network.logits(network(token_ids_N, position_ids_N, attend))


def choose_line_cases(
    texts: Sequence[str], rng: random.Random, *, n_cases: int, is_whole_line: bool
) -> list[LineCase]:
    """Cases from random lines; a whole line is completed from its indentation on."""
    cases: list[LineCase] = []
    while len(cases) < n_cases:
        text = rng.choice(texts)
        at = rng.randrange(len(text))
        start, end = text.rfind("\n", 0, at) + 1, text.find("\n", at)
        line = text[start:end] if end >= 0 else ""
        first = len(line) - len(line.lstrip())
        if not 3 <= len(line.strip()) <= _MAX_LINE_CHARS:
            continue
        column = first if is_whole_line else rng.randrange(first + 1, len(line.rstrip()))
        cases.append(
            LineCase(prefix=text[: start + column], line_end=line[column:], suffix=text[end:])
        )
    return cases


@torch.no_grad()
def complete_line(network: Transformer, tokenizer: Tokenizer, case: LineCase) -> str:
    """The rest of the line, greedily, through an SPM prompt as serving lays it out."""
    n_context = network.config.max_positions - _MAX_LINE_TOKENS - 3
    suffix = trim_suffix(case.suffix, tokenizer, n_context // 4)
    n_suffix = len(tokenizer.encode(suffix, add_special_tokens=False).ids)
    prefix = trim_prefix(case.prefix, tokenizer, n_context - n_suffix)
    prefix_ids = tokenizer.encode(prefix, add_special_tokens=False).ids
    maker = SampleMaker(tokenizer)
    token_ids = list(maker.lay_out_prompt(Layout.SPM, prefix_ids, suffix))
    n_prompt = len(token_ids)
    end_id = tokenizer.token_to_id(END_TOKEN)
    row, device = _GrowingRow(), network.embedding.weight.device
    middle, waiting = "", token_ids
    while len(token_ids) < n_prompt + _MAX_LINE_TOKENS and "\n" not in middle:
        position_ids_T = torch.arange(row.n_slots, row.n_slots + len(waiting), device=device)
        hidden_TE = network(torch.tensor(waiting, device=device), position_ids_T, row)
        next_id = int(network.logits(hidden_TE[-1:]).argmax())
        if next_id == end_id:
            break
        waiting = [next_id]
        token_ids = [*token_ids, next_id]
        middle = tokenizer.decode(token_ids[n_prompt:])
    return middle.split("\n")[0].rstrip()


class _GrowingRow:
    """One row's keys and values, layer by layer. Invariant: all layers hold `n_slots` slots,
    but for the pass that is going on."""

    def __init__(self) -> None:
        self._layers: list[tuple[Tensor, Tensor]] = []

    @property
    def n_slots(self) -> int:
        """How many tokens have been passed through the network."""
        return self._layers[-1][0].shape[1] if self._layers else 0

    def __call__(
        self,
        layer_index: int,
        q_NHD: Tensor,
        k_NKD: Tensor,
        v_NKD: Tensor,
        window: int | None = None,
    ) -> Tensor:
        """Attention over what is kept and what is new, which is kept from now on."""
        k_KSD, v_KSD = k_NKD.transpose(0, 1), v_NKD.transpose(0, 1)
        if layer_index == len(self._layers):
            self._layers.append((k_KSD, v_KSD))
            return attend_cached(q_NHD, k_KSD, v_KSD, 0, window)
        kept_k, kept_v = self._layers[layer_index]
        n_cached = kept_k.shape[1]
        k_KSD, v_KSD = torch.cat((kept_k, k_KSD), dim=1), torch.cat((kept_v, v_KSD), dim=1)
        self._layers[layer_index] = (k_KSD, v_KSD)
        return attend_cached(q_NHD, k_KSD, v_KSD, n_cached, window)
