"""Passes, and whole keystrokes, beside llama.cpp: the same weights, prompts and threads.

Owns these parts. Contenders take turns, and who begins changes, so that noise on the machine
falls on both; medians are compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from fimble_eval.engine_speed.contender import Batch, Contender, find_llama_python
from fimble_eval.engine_speed.options import EngineOptions, base_shape_folder, gguf_of
from fimble_eval.engine_speed.recorded_prompts import own_sources, record_keys
from fimble_eval.engine_speed.rows import PartResult, Row, beside, median, percentile
from fimble_model.loading import load
from fimble_model.network.checkpoint import load_config
from fimble_model.text.tokenizer import load_tokenizer

__all__ = ["measure_agreement", "measure_keys", "measure_passes"]

_N_ROUNDS = 6
_N_PREFILL = 512
_POSITION = 1024
_N_CONTEXT = 2048
_N_NEW_TOKENS = 8


def measure_passes(options: EngineOptions) -> PartResult:
    """Prefill, one token and eight tokens; and one token beside what memory allows."""
    folder = base_shape_folder(options)
    ids = _real_tokens(folder, _POSITION + _N_PREFILL)
    context, prompt = ids[:_POSITION], ids[_POSITION:]
    one, eight = (
        Batch(token_ids=ids[:1], n_times=16),
        Batch(token_ids=ids[:8], n_times=8, n_logits=8),
    )
    times: dict[str, dict[str, list[float]]] = {}
    bandwidths = []
    with _contenders(folder, "q8_0", options) as (ours, llama):
        for contender in (ours, llama):
            contender.passes([], [Batch(token_ids=prompt, n_times=1)])
        for round_index in range(_N_ROUNDS):
            bandwidths.append(ours.read_bandwidth())
            for contender in _in_turn((ours, llama), round_index):
                found = times.setdefault(contender.name, {"prefill": [], "one": [], "eight": []})
                found["prefill"] += contender.passes([], [Batch(token_ids=prompt, n_times=2)])[0]
                found_one, found_eight = contender.passes(context, [one, eight])
                found["one"] += found_one
                found["eight"] += found_eight
        ours_ms, other_ms = times[ours.name], times[llama.name]
        name = llama.name
        n_bytes = ours.weight_bytes + (_POSITION + 1) * ours.slot_bytes
    bandwidth = median(bandwidths)
    return PartResult(
        rows=_pass_rows(ours_ms, other_ms, name, n_bytes=n_bytes, bandwidth=bandwidth),
        details={
            "model": folder.name,
            "n_threads": options.n_threads,
            "bandwidth_bytes_per_s": round(bandwidth),
            "llama_cpp": llama.detail,
            "times_ms": times,
        },
    )


def _pass_rows(
    ours_ms: dict[str, list[float]],
    other_ms: dict[str, list[float]],
    other_name: str,
    *,
    n_bytes: int,
    bandwidth: float,
) -> tuple[Row, ...]:
    """Rows by kind of pass. One token reads `n_bytes`; `bandwidth` is in bytes per second."""
    limit_ms = n_bytes / bandwidth * 1000
    return (
        beside(
            f"prefill of {_N_PREFILL} tokens",
            ours_ms["prefill"],
            other_ms["prefill"],
            other_name=f"{other_name}, Q8_0",
            target=1.5,
        ),
        beside(
            f"one token at position {_POSITION}",
            ours_ms["one"],
            other_ms["one"],
            other_name=f"{other_name}, Q8_0",
            target=1.2,
        ),
        beside(
            f"eight tokens in one pass at position {_POSITION}",
            ours_ms["eight"],
            other_ms["eight"],
            other_name=f"{other_name}, Q8_0",
            target=2.0,
        ),
        Row(
            measure=f"one token at position {_POSITION} beside the memory's limit",
            unit="ms",
            ours=round(median(ours_ms["one"]), 3),
            other=round(limit_ms, 3),
            other_name=f"{n_bytes / 1e6:.1f} MB at {bandwidth / 1e9:.1f} GB/s",
            merit=round(median(ours_ms["one"]) / limit_ms, 3),
            merit_words="times the limit",
            target=2.0,
            is_ceiling=True,
            note="weights, keys and values once, at the speed of a large read in this run",
        ),
    )


def measure_keys(options: EngineOptions) -> PartResult:
    """A typing replay by keystroke: the same prompts, each contender with its own cache."""
    folder = base_shape_folder(options)
    engine = load(folder, n_threads=options.n_threads)
    spots = [
        [[*key.request.prompt.token_ids] for key in keys]
        for keys in record_keys(engine, own_sources(2), n_spots=2, n_chars=80)
    ]
    del engine
    waits: dict[str, list[float]] = {}
    reused: dict[str, int] = {}
    n_prompt_tokens = sum(len(prompt) for spot in spots for prompt in spot)
    with _contenders(folder, "q8_0", options) as (ours, llama):
        for spot_index, spot in enumerate(spots):
            for contender in _in_turn((ours, llama), spot_index):
                for prompt in spot:
                    done = contender.complete(prompt, n_new_tokens=_N_NEW_TOKENS)
                    waits.setdefault(contender.name, []).append(done.spent_ms)
                    reused[contender.name] = reused.get(contender.name, 0) + done.n_reused
        ours_ms, other_ms = waits[ours.name], waits[llama.name]
    return PartResult(
        rows=(
            beside(
                f"a keystroke of a typing replay: its prompt and {_N_NEW_TOKENS} tokens",
                ours_ms,
                other_ms,
                other_name=f"{llama.name}, Q8_0, its cache kept",
                target=3.0,
                note=f"{sum(other_ms) / sum(ours_ms):.2f} times as fast by the sum",
            ),
            Row(
                measure="prompt tokens found in the cache, same replay",
                unit="share",
                ours=round(reused[ours.name] / n_prompt_tokens, 4),
                other=round(reused[llama.name] / n_prompt_tokens, 4),
                other_name=llama.name,
                merit=round(reused[ours.name] / n_prompt_tokens, 4),
                merit_words="of all prompt tokens",
                target=0.95,
            ),
        ),
        details={
            "model": folder.name,
            "n_keys": len(ours_ms),
            "n_prompt_tokens": n_prompt_tokens,
            "ours_p95_ms": percentile(ours_ms, 95),
            "other_p95_ms": percentile(other_ms, 95),
            "keys_ms": waits,
        },
    )


def measure_agreement(options: EngineOptions) -> PartResult:
    """Whether both run the same model: the same greedy tokens in float32."""
    from fimble_model.shipped import find_model_folder

    folder = find_model_folder(options.model)
    ids = _real_tokens(folder, 8 * 200)
    prompts = [ids[start : start + 200] for start in range(0, len(ids), 200)]
    n_same = n_all = 0
    with _contenders(folder, "f32", options, dtype="float32") as (ours, llama):
        for prompt in prompts:
            mine = ours.complete(prompt, n_new_tokens=24).token_ids
            theirs = llama.complete(prompt, n_new_tokens=24).token_ids
            n_all += len(mine)
            n_same += sum(a == b for a, b in zip(mine, theirs, strict=False))
    return PartResult(
        rows=(
            Row(
                measure="greedy tokens equal in float32, shipped model",
                unit="tokens",
                ours=n_same,
                other=n_all,
                other_name=llama.name,
                merit=round(n_same / max(1, n_all), 4),
                merit_words="the same",
                target=None,
                note="that the export is the same model",
            ),
        )
    )


@contextmanager
def _contenders(
    folder: Path, kind: str, options: EngineOptions, *, dtype: str = "auto"
) -> Iterator[tuple[Contender, Contender]]:
    """Ours and llama.cpp over one model. Raises `ContenderMissingError` where that is not there."""
    python = find_llama_python(options.llama_python)
    gguf = gguf_of(folder, kind, options)
    n_context = min(_N_CONTEXT, load_config(folder).max_positions)
    with Contender("our_worker") as ours, Contender("llama_worker", python=python) as llama:
        ours.load(
            Path(f"{folder}:{dtype}"), n_threads=options.n_threads, n_context_tokens=n_context
        )
        llama.load(gguf, n_threads=options.n_threads, n_context_tokens=n_context)
        yield ours, llama


def _in_turn(contenders: tuple[Contender, Contender], index: int) -> Sequence[Contender]:
    return contenders if index % 2 == 0 else contenders[::-1]


def _real_tokens(folder: Path, n_tokens: int) -> list[int]:
    """The first tokens of a real source file."""
    text = own_sources(1)[0].read_text(encoding="utf-8") * 4
    return list(load_tokenizer(folder).encode(text)[:n_tokens])
