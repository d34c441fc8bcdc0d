"""Whole completions beside transformers' `generate`: float32, one prompt at a time."""

from __future__ import annotations

from fimble_eval.engine_speed.contender import Contender
from fimble_eval.engine_speed.options import EngineOptions, base_shape_folder
from fimble_eval.engine_speed.recorded_prompts import own_sources
from fimble_eval.engine_speed.rows import PartResult, Row, median
from fimble_model.text.tokenizer import load_tokenizer

__all__ = ["measure_generate"]

_N_ROUNDS = 4
_N_PROMPT = 256
_N_NEW_TOKENS = 48
_N_CONTEXT = 1024


def measure_generate(options: EngineOptions) -> PartResult:
    """Tokens a second from the prompt to the last token; a new prompt each round."""
    folder = base_shape_folder(options)
    text = own_sources(1)[0].read_text(encoding="utf-8")
    ids = load_tokenizer(folder).encode(text)
    rates: dict[str, list[float]] = {"ours": [], "theirs": []}
    with Contender("our_worker") as ours, Contender("transformers_worker") as theirs:
        for contender in (ours, theirs):
            contender.load(folder, n_threads=options.n_threads, n_context_tokens=_N_CONTEXT)
            contender.complete(ids[-_N_PROMPT:], n_new_tokens=4)
        for round_index in range(_N_ROUNDS):
            start = round_index * _N_PROMPT
            for name, contender in (("ours", ours), ("theirs", theirs)):
                done = contender.complete(
                    ids[start : start + _N_PROMPT], n_new_tokens=_N_NEW_TOKENS
                )
                rates[name].append(len(done.token_ids) / done.spent_ms * 1000)
        other_name = theirs.name
    mine, other = median(rates["ours"]), median(rates["theirs"])
    return PartResult(
        rows=(
            Row(
                measure=f"{_N_NEW_TOKENS} tokens after a prompt of {_N_PROMPT}",
                unit="tokens/s",
                ours=round(mine, 2),
                other=round(other, 2),
                other_name=other_name,
                merit=round(mine / other, 3),
                merit_words="times as fast",
                target=4.0,
            ),
        ),
        details={"model": folder.name, "tokens_per_s": rates},
    )
