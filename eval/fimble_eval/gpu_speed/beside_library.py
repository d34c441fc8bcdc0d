"""Beside transformers on the same card: `generate`, and its continuous batching.

Owns those contenders. Both libraries run random weights of one shape; theirs runs first and is
given back before ours begins, so that neither lacks memory.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch

from fimble_eval.engine_speed.rows import PartResult, Row
from fimble_eval.gpu_speed.options import GpuOptions
from fimble_eval.gpu_speed.shapes import build_engine, config_for
from fimble_eval.gpu_speed.timing import new_request, random_ids, run_timed
from fimble_model.network.config import NetworkConfig

__all__ = ["measure_beside_transformers"]

_SHAPE = "1.5b"


def measure_beside_transformers(contender: str, options: GpuOptions) -> PartResult:
    """Tokens a second with one prompt and with 64, prompts of 128 tokens, prefill included."""
    n_prompt, n_new = (16, 4) if options.is_rehearsal else (128, 64)
    n_most = 4 if options.is_rehearsal else 64
    config = config_for(_SHAPE, options)
    prompts = [random_ids(n_prompt, config.vocabulary_size, seed) for seed in range(n_most)]
    theirs, failures = _run_theirs(contender, config, options, prompts, n_new)
    gc.collect()
    if options.device != "cpu":
        torch.cuda.empty_cache()
    engine = build_engine(_SHAPE, options, n_most_rows=n_most)
    ours: dict[int, float] = {}
    for n_rows in (1, n_most):
        for turn in ("cold", "warm"):
            # Other prompts in the warm turn: nothing of them is cached.
            some = [_other(prompt) if turn == "warm" else prompt for prompt in prompts[:n_rows]]
            requests = [
                new_request(f"{turn}-{n_rows}-{i}", each, n_new) for i, each in enumerate(some)
            ]
            started_s = time.perf_counter()
            timed = run_timed(engine, requests)
            ours[n_rows] = timed.n_tokens / (time.perf_counter() - started_s)
    rows = tuple(
        Row(
            measure=f"{_SHAPE}, {n_rows} rows, {n_new} tokens after {n_prompt}",
            unit="tokens/s",
            ours=round(ours[n_rows], 1),
            other=round(rate, 1),
            other_name=name,
            merit=round(ours[n_rows] / rate, 3),
            merit_words="times as fast",
            target=5.0,
        )
        for (name, n_rows), rate in theirs.items()
    )
    return PartResult(rows=rows, details={"failures": failures})


def _other(prompt: Sequence[int]) -> list[int]:
    return list(reversed(prompt))


def _run_theirs(
    contender: str, config: NetworkConfig, options: GpuOptions, prompts: list[list[int]], n_new: int
) -> tuple[dict[tuple[str, int], float], dict[str, str]]:
    """Rates by contender and rows, and why a contender has none."""
    model = _build_theirs(config, options)
    contenders: dict[str, Callable[[list[list[int]]], object]] = {
        "generate": lambda some: _generate(model, some, n_new, options.device),
        "continuous batching": lambda some: _generate_batch(model, some, n_new),
    }
    rates, failures = {}, {}
    for name, run in ((contender, contenders[contender]),):
        for n_rows in (1, len(prompts)):
            try:
                run([_other(prompt) for prompt in prompts[:n_rows]])
                started_s = time.perf_counter()
                run(prompts[:n_rows])
                rates[name, n_rows] = n_rows * n_new / (time.perf_counter() - started_s)
            except Exception as error:  # noqa: BLE001  a contender's fault is a finding, not ours
                failures[f"{name}, {n_rows} rows"] = type(error).__name__
    return rates, failures


def _build_theirs(config: NetworkConfig, options: GpuOptions) -> Any:
    import transformers

    library: Any = transformers
    library.logging.set_verbosity_error()
    theirs = library.Qwen2Config(
        hidden_size=config.width,
        num_hidden_layers=config.n_layers,
        num_attention_heads=config.n_query_heads,
        num_key_value_heads=config.n_key_heads,
        intermediate_size=config.feed_forward_width,
        vocab_size=config.vocabulary_size,
        max_position_embeddings=config.max_positions,
        tie_word_embeddings=config.tied_embeddings,
        eos_token_id=None,
        bos_token_id=None,
        pad_token_id=0,
    )
    dtype = torch.float32 if options.device == "cpu" else torch.bfloat16
    with torch.device(options.device):
        model = library.AutoModelForCausalLM.from_config(theirs, dtype=dtype)
    return model.eval()


def _generate(model: Any, prompts: list[list[int]], n_new: int, device: str) -> None:
    ids = torch.tensor(prompts, device=device)
    with torch.inference_mode():
        model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            min_new_tokens=n_new,
            max_new_tokens=n_new,
            pad_token_id=0,
        )
    if device != "cpu":
        torch.cuda.synchronize()


def _generate_batch(model: Any, prompts: list[list[int]], n_new: int) -> None:
    import transformers

    library: Any = transformers
    wishes = library.GenerationConfig(
        do_sample=False, max_new_tokens=n_new, eos_token_id=-1, pad_token_id=0
    )
    answers = model.generate_batch(inputs=prompts, generation_config=wishes)
    n_written = [len(answer.generated_tokens) for answer in answers.values()]
    if n_written != [n_new] * len(prompts):
        raise RuntimeError("continuous batching wrote fewer tokens than were asked for")
