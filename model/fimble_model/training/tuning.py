"""Going on with a model on the user's own code, on their machine.

Owns the recipe of a tuning: low rates, the general corpus mixed in so that the model does not
forget, and bits per character on held-out files before and after. The result is a model folder.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from torch import Tensor

from fimble_model.engine.protocol import Clock
from fimble_model.network.checkpoint import load_config
from fimble_model.network.config import NetworkConfig
from fimble_model.network.transformer import Transformer
from fimble_model.training.documents import Document
from fimble_model.training.export import export_model
from fimble_model.training.faults import TrainingError
from fimble_model.training.optimiser import OptimiserSettings
from fimble_model.training.own_code import OwnCode
from fimble_model.training.pretraining import (
    Progress,
    Trainer,
    TrainingSettings,
    load_kept_weights,
    train,
)
from fimble_model.training.rows import RowStream
from fimble_model.training.samples import SampleMaker
from fimble_model.training.scoring import LanguageScore, score_languages
from fimble_model.training.tokenizer import load_tokenizer
from fimble_model.training.warm_start import load_float_network, load_starting_weights

__all__ = ["Tuned", "tune"]

_RATE_SCALE = 0.1
_N_ROWS = 2
_MAX_ROW_TOKENS = 1024
_GENERAL_SHARE = 0.2
_MIN_SCORED_CHARS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuned:
    """Bits per character on the held-out files, by language; `n_chars` were trained on."""

    before: dict[str, LanguageScore]
    after: dict[str, LanguageScore]
    n_chars: int
    n_general_chars: int


def tune(
    model_folder: Path,
    own: OwnCode,
    general: Sequence[Document],
    work: Path,
    out: Path,
    *,
    time_s: float,
    clock: Clock,
    on_progress: Callable[[Progress], None],
    checkpoint_every_s: float = 60.0,
) -> Tuned:
    """Tune a model and export it to `out`. An interrupted tuning goes on where `work` stands.

    `general` is mixed in up to a fifth of the text. Raises `TrainingError` for a model that is
    not of our own making: the export writes no other shape.
    """
    config = _load_our_config(model_folder)
    tokenizer = load_tokenizer(model_folder / "tokenizer.json")
    mixed_in = _take_general(general, sum(len(d.text) for d in own.train))
    settings = TrainingSettings(
        network=config,
        optimiser=OptimiserSettings().scaled(_RATE_SCALE),
        time_s=time_s,
        n_rows=_N_ROWS,
        row_tokens=min(config.max_positions, _MAX_ROW_TOKENS),
        started_from=model_folder.name,
    )
    documents, n_tokens = [*own.train, *mixed_in], settings.row_tokens
    stream = RowStream(documents, SampleMaker(tokenizer), n_tokens=n_tokens, seed=settings.seed)
    weights = load_starting_weights(model_folder, config, tokenizer)
    work.mkdir(parents=True, exist_ok=True)
    train(
        Trainer(settings, stream, starting_weights=weights),
        work,
        clock=clock,
        checkpoint_every_s=checkpoint_every_s,
        on_progress=on_progress,
    )
    kept = load_kept_weights(work / "checkpoints")
    before = _score(load_float_network(model_folder), tokenizer, own)
    says = _says_repository_context(model_folder)
    export_model(kept.weights, config, tokenizer, out, repository_context=says)
    return Tuned(
        before=before,
        after=_score(_network_of(config, kept.weights), tokenizer, own),
        n_chars=sum(len(document.text) for document in own.train),
        n_general_chars=sum(len(document.text) for document in mixed_in),
    )


def _says_repository_context(model_folder: Path) -> bool:
    """Whether the model that is tuned says it: tuning measures nothing that could change that."""
    config: dict[str, Any] = json.loads((model_folder / "config.json").read_text(encoding="utf-8"))
    return config.get("fimble", {}).get("repository_context") is True


def _load_our_config(model_folder: Path) -> NetworkConfig:
    config = load_config(model_folder)
    if not (config.tied_embeddings and config.qk_norm):
        raise TrainingError(
            expected="a model made with `fimble-train`",
            found="one of another shape",
            to_do="Tune fimble-nano, fimble-base or a model that was tuned from them.",
        )
    return config


def _network_of(config: NetworkConfig, weights: Mapping[str, Tensor]) -> Transformer:
    network = Transformer(config)
    for name, parameter in network.named_parameters():
        parameter.data.copy_(weights[name])
    return network.requires_grad_(False)


def _score(network: Transformer, tokenizer: Tokenizer, own: OwnCode) -> dict[str, LanguageScore]:
    return score_languages(network, tokenizer, own.held_out, min_chars=_MIN_SCORED_CHARS)


def _take_general(general: Sequence[Document], n_own_chars: int) -> list[Document]:
    room = n_own_chars * _GENERAL_SHARE / (1 - _GENERAL_SHARE)
    taken: list[Document] = []
    for document in general:
        room -= len(document.text)
        if room < 0:
            break
        taken.append(document)
    return taken
