"""Comparing recipes at a scale that a CPU affords: one choice changed, everything else the same.

Owns the choices compared and the measuring. Every variant sees the same number of tokens from the
same seed, and is measured in bits a character, which vocabularies have in common.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch.nn import functional

from fimble_model.engine.protocol import Clock
from fimble_model.network.attention import DenseCausal
from fimble_model.network.config import NetworkConfig
from fimble_model.network.transformer import Transformer
from fimble_model.training.documents import Document
from fimble_model.training.faults import TrainingError
from fimble_model.training.optimiser import OptimiserSettings
from fimble_model.training.pretraining import Trainer, TrainingSettings
from fimble_model.training.rows import RowStream
from fimble_model.training.samples import Layout, SampleMaker, SampleShares
from fimble_model.training.scoring import score_languages
from fimble_model.training.storage import write_text_whole
from fimble_model.training.tokenizer import train_tokenizer

__all__ = ["VARIANTS", "Variant", "VariantScore", "ablate", "find_variants", "load_scores"]

_ROW_TOKENS = 512
_N_ROWS = 4
_SCORED_CHARS = 60_000
_N_FILLED = 300
# AdamW's usual height for a network of this size; Muon's stands in `OptimiserSettings`.
_ADAM_RATE = 0.003


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """A recipe: that of the models that ship, but for what its name says."""

    name: str
    optimiser: OptimiserSettings = field(default_factory=OptimiserSettings)
    shares: SampleShares = field(default_factory=SampleShares)
    vocabulary_size: int = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantScore:
    """Bits a character on held-out packages: of plain text from left to right, and of middles,
    their end included, after a prompt in each order. `chars_per_token` is of held-out text."""

    name: str
    n_parameters: int
    n_tokens: int
    train_s: float
    chars_per_token: float
    plain_bits: float
    spm_bits: float
    psm_bits: float


VARIANTS = (
    Variant(name="as shipped"),
    Variant(
        name="AdamW alone",
        optimiser=OptimiserSettings(is_adam_only=True, matrix_rate=_ADAM_RATE),
    ),
    Variant(name="half plain, half filled in", shares=SampleShares(plain=0.5)),
    Variant(name="vocabulary 8192", vocabulary_size=8192),
    Variant(name="vocabulary 16384", vocabulary_size=16384),
    Variant(name="no other files", shares=SampleShares(neighbours=0.0)),
    Variant(name="SPM and PSM half each", shares=SampleShares(spm=0.5)),
)


def find_variants(names: Sequence[str] | None) -> tuple[Variant, ...]:
    """The variants of these names, all if None. Raises `TrainingError` for an unknown one."""
    known = {variant.name: variant for variant in VARIANTS}
    if unknown := [name for name in names or () if name not in known]:
        raise TrainingError(
            expected=f"a variant, one of: {', '.join(known)}",
            found=unknown[0],
            to_do="Choose of these.",
        )
    return tuple(known[name] for name in names) if names else VARIANTS


def ablate(
    variants: Sequence[Variant],
    documents: Sequence[Document],
    held_out: Sequence[Document],
    out: Path,
    *,
    n_steps: int,
    clock: Clock,
    on_score: Callable[[VariantScore], None],
    seed: int = 0,
) -> list[VariantScore]:
    """Train and measure each variant; `out` is a JSON file, and what is in it is not done again."""
    done = load_scores(out)
    for variant in variants:
        if variant.name not in {score.name for score in done}:
            done.append(_run(variant, documents, held_out, n_steps, clock, seed))
            rows = [asdict(score) for score in done]
            write_text_whole(out, json.dumps(rows, indent=1) + "\n")
        on_score(next(score for score in done if score.name == variant.name))
    return done


def load_scores(path: Path) -> list[VariantScore]:
    """What an earlier `ablate` measured; empty where there was none."""
    if not path.is_file():
        return []
    return [VariantScore(**row) for row in json.loads(path.read_text(encoding="utf-8"))]


def _run(
    variant: Variant,
    documents: Sequence[Document],
    held_out: Sequence[Document],
    n_steps: int,
    clock: Clock,
    seed: int,
) -> VariantScore:
    texts = [each.text for each in documents]
    tokenizer = train_tokenizer(texts, vocabulary_size=variant.vocabulary_size)
    settings = TrainingSettings(
        network=_small_network(variant.vocabulary_size),
        optimiser=variant.optimiser,
        time_s=float(n_steps),
        n_rows=_N_ROWS,
        row_tokens=_ROW_TOKENS,
        seed=seed,
    )
    maker = SampleMaker(tokenizer, variant.shares)
    stream = RowStream(documents, maker, n_tokens=_ROW_TOKENS, seed=seed)
    trainer = Trainer(settings, stream)
    started_ms = clock.now_ms()
    for step in range(n_steps):
        # The schedule goes by time: here a step is a second, on any machine.
        trainer.elapsed_s = float(step)
        trainer.step()
    train_s = (clock.now_ms() - started_ms) / 1000
    network = trainer.network.requires_grad_(False)
    language = score_languages(network, tokenizer, held_out, n_chars=_SCORED_CHARS)
    n_chars = sum(score.n_chars for score in language.values())
    filled = {
        layout: _middle_bits(network, tokenizer, held_out, layout, seed)
        for layout in (Layout.SPM, Layout.PSM)
    }
    return VariantScore(
        name=variant.name,
        n_parameters=settings.network.n_parameters,
        n_tokens=n_steps * _N_ROWS * _ROW_TOKENS,
        train_s=round(train_s, 1),
        chars_per_token=round(_chars_per_token(tokenizer, held_out), 3),
        plain_bits=round(
            sum(s.bits_per_char * s.n_chars for s in language.values()) / max(n_chars, 1), 4
        ),
        spm_bits=round(filled[Layout.SPM], 4),
        psm_bits=round(filled[Layout.PSM], 4),
    )


def _small_network(vocabulary_size: int) -> NetworkConfig:
    return NetworkConfig(
        n_layers=4,
        width=128,
        n_query_heads=4,
        n_key_heads=2,
        head_size=32,
        feed_forward_width=352,
        vocabulary_size=vocabulary_size,
        max_positions=_ROW_TOKENS,
        qk_norm=True,
    )


@torch.no_grad()
def _middle_bits(
    network: Transformer,
    tokenizer: Tokenizer,
    held_out: Sequence[Document],
    layout: Layout,
    seed: int,
) -> float:
    """Bits a character of middles and their end, the same cuts for every variant.

    Cuts are made by character in text that no vocabulary has trimmed.
    """
    rng = random.Random(f"{seed}/middles")
    maker = SampleMaker(tokenizer)
    nats, n_chars = 0.0, 0
    for _ in range(_N_FILLED):
        text = rng.choice(held_out).text
        at = rng.randrange(len(text))
        n_middle = 1 + int(60 ** rng.random())
        middle = text[at : at + n_middle]
        prefix, suffix = text[max(at - 500, 0) : at], text[at + n_middle : at + n_middle + 200]
        ids = maker.lay_out(layout, prefix=prefix, middle=middle, suffix=suffix)[-_ROW_TOKENS:]
        n_scored = len(tokenizer.encode(middle, add_special_tokens=False).ids) + 1
        token_ids = torch.tensor(ids)
        attend = DenseCausal(n_rows=1, n_tokens=len(ids) - 1)
        hidden = network(token_ids[:-1], torch.arange(len(ids) - 1), attend)[-n_scored:]
        targets = token_ids[-n_scored:]
        nats += float(functional.cross_entropy(network.logits(hidden), targets, reduction="sum"))
        n_chars += len(middle)
    return nats / math.log(2) / n_chars


def _chars_per_token(tokenizer: Tokenizer, held_out: Sequence[Document]) -> float:
    texts = [each.text for each in held_out][:60]
    n_tokens = sum(len(tokenizer.encode(text, add_special_tokens=False).ids) for text in texts)
    return sum(map(len, texts)) / n_tokens
