"""One stream, one keystroke, many rows: the engine alone on the card.

Owns these parts and their targets (`LIMITS_S` names them). Random weights in known shapes.
"""

from __future__ import annotations

import time

from fimble_eval.engine_speed.rows import PartResult, Row, at_most, median
from fimble_eval.gpu_speed.options import GpuOptions
from fimble_eval.gpu_speed.shapes import build_engine, config_for
from fimble_eval.gpu_speed.timing import new_request, random_ids, run_timed
from fimble_model.engine.protocol import Engine
from fimble_model.network.cost import RowShape, cost_of

__all__ = ["measure_batch", "measure_keystroke", "measure_stream"]

_SHARE_TARGETS = {"1.5b": 0.78, "7b": 0.78}
_RATE_TARGETS = {"base": 4000.0}
_N_PROMPT = 256


def measure_stream(shape: str, options: GpuOptions, *, is_int8: bool = False) -> PartResult:
    """Tokens a second of one greedy row, and the share of a copy's bytes that its reads are."""
    n_new = 32 if options.is_rehearsal else 256
    config = config_for(shape, options)
    engine = build_engine(shape, options, n_most_rows=1, is_int8=is_int8)
    rates = [_stream_rate(engine, n_new, seed) for seed in range(4)][1:]
    rate = median(rates)
    bytes_per_weight = engine.model.bytes_per_weight
    slot_bytes = 2 * config.n_layers * config.n_key_heads * config.head_size * 2
    cost = cost_of(config, bytes_per_weight, slot_bytes)
    n_cached = _N_PROMPT + n_new // 2
    read = cost.bytes_read([RowShape(n_tokens=1, n_cached=n_cached, n_loud=1)])
    share = None
    if options.copy_bytes_per_s is not None:
        share = round(read * rate / options.copy_bytes_per_s, 4)
    has_share_target = shape in _SHARE_TARGETS and not is_int8
    rate_target = _RATE_TARGETS.get(shape)
    return PartResult(
        rows=(
            Row(
                measure=f"one stream, {shape}, {engine.model.dtype}",
                unit="tokens/s",
                ours=round(rate, 1),
                other=None,
                other_name="",
                merit=share if rate_target is None else round(rate, 1),
                merit_words="of copy bandwidth" if rate_target is None else "tokens/s",
                target=_SHARE_TARGETS[shape] if has_share_target else rate_target,
                note=f"{read / 1e9:.2f} GB read a token, {engine.model.kernels} kernels",
            ),
        ),
        details={"tokens_per_s": rates, "share_of_copy": share, "bytes_a_token": read},
    )


def _stream_rate(engine: Engine, n_new: int, seed: int) -> float:
    """Tokens a second from the first token to the last."""
    prompt = random_ids(_N_PROMPT, engine.model.vocabulary_size, seed)
    timed = run_timed(engine, [new_request(f"stream-{seed}", prompt, n_new)])
    ends_s = timed.step_ends_s[-n_new:]
    return (len(ends_s) - 1) / (ends_s[-1] - ends_s[0])


def measure_keystroke(options: GpuOptions) -> PartResult:
    """A prompt that is cached but for its last token: the first token, and a line of 16."""
    n_prompt, n_keys = (64, 3) if options.is_rehearsal else (1024, 30)
    engine = build_engine("1.5b", options, n_most_rows=4)
    text = random_ids(n_prompt + n_keys, engine.model.vocabulary_size, 0)
    run_timed(engine, [new_request("cold", text[:n_prompt], 1)])
    firsts_ms, lines_ms, n_reused = [], [], []
    for key in range(1, n_keys + 1):
        prompt = text[: n_prompt + key]
        timed = run_timed(engine, [new_request(f"key-{key}", prompt, 16)])
        firsts_ms.append(timed.step_ends_s[0] * 1000)
        lines_ms.append(timed.step_ends_s[-1] * 1000)
        n_reused.append(timed.finishes[0].n_reused_tokens)
    note = f"{median(n_reused):.0f} of {n_prompt} tokens reused"
    return PartResult(
        rows=tuple(
            at_most(
                target,
                f"warm keystroke, 1.5b: {what}",
                "ms",
                round(median(times_ms), 2),
                note=note,
            )
            for what, times_ms, target in (
                ("first token", firsts_ms, 10.0),
                ("line of 16 tokens", lines_ms, 20.0),
            )
        ),
        details={"first_ms": firsts_ms, "line_ms": lines_ms},
    )


def measure_batch(options: GpuOptions) -> PartResult:
    """Tokens a second of 256 rows of the 0.5b shape, prompts of 128 and 128 new tokens each."""
    n_rows, n_prompt, n_new = (8, 16, 8) if options.is_rehearsal else (256, 128, 128)
    engine = build_engine("0.5b", options, n_most_rows=n_rows)
    rates = []
    for turn in range(3):
        requests = [
            new_request(
                f"row-{turn}-{row}",
                random_ids(n_prompt, engine.model.vocabulary_size, turn * n_rows + row),
                n_new,
            )
            for row in range(n_rows)
        ]
        started_s = time.perf_counter()
        timed = run_timed(engine, requests)
        rates.append(timed.n_tokens / (time.perf_counter() - started_s))
    rate = median(rates[1:])
    return PartResult(
        rows=(
            Row(
                measure=f"0.5b, {n_rows} rows, prompts included",
                unit="tokens/s",
                ours=round(rate, 1),
                other=None,
                other_name="",
                merit=round(rate, 1),
                merit_words="tokens/s",
                target=40_000.0,
            ),
        ),
        details={"tokens_per_s": rates},
    )
