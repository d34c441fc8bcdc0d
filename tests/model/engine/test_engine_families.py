"""Every family through the engine: the reference's own greedy tokens, in batches, speculating."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from fimble_model.assembly import assemble_engine
from fimble_model.engine.engine import NativeEngine
from fimble_model.engine.protocol import Finish, Prompt, TokenId
from fimble_model.engine.scheduler import PassLimits
from fimble_model.network.device import Dtype, Placement, has_fbgemm
from fimble_model.network.weights import load_network
from fimble_model.text.fim_matching import find_fim_format
from fimble_model.text.tokenizer import parse_tokenizer
from fimble_testing.checkpoints import TINY_VARIANTS, make_tiny_checkpoint
from fimble_testing.tiny_engines import build_request, last_of, run_all, run_alone
from fimble_testing.tiny_tokenizers import build_tokenizer_json

N_NEW = 24
# One of each architecture, with what is hardest of it for a cache.
VARIANTS = (
    "qwen2, yarn",
    "llama, linear",
    "mistral, a window",
    "granite",
    "gemma",
    "stablelm, parallel",
    "starcoder2, a window",
    "gpt_bigcode",
    "falcon, as the 7B",
    "qwen3_moe",
)
# Repeats, so that there is something to speculate on; the longest goes past a page and a window.
PROMPTS = {"short": [1, 2, 3], "long": list(range(100, 140)) * 3, "page": [*range(200, 264)]}


def _engine(folder: Path, dtype: Dtype) -> NativeEngine:
    placement = Placement(device="cpu", dtype=dtype, n_threads=1)
    tokenizer = parse_tokenizer(build_tokenizer_json("qwen"))
    return assemble_engine(
        name="tiny",
        transformer=load_network(folder, placement),
        placement=placement,
        tokenizer=tokenizer,
        fim_format=find_fim_format(
            model_type="qwen2", control_strings=tokenizer.control_ids.keys()
        ),
        limits=PassLimits(max_rows=4, max_tokens=50),
        has_memory=False,
    )


def _prompt(name: str) -> Prompt:
    return Prompt(token_ids=tuple(map(TokenId, PROMPTS[name])))


def _token_ids(finish: Finish | None) -> list[int]:
    assert finish is not None
    return [token.token_id for token in finish.tokens]


def _greedy(reference: torch.nn.Module, prompt_ids: list[int], n_tokens: int) -> list[int]:
    token_ids = list(prompt_ids)
    with torch.inference_mode():
        for _ in range(n_tokens):
            token_ids.append(int(reference(torch.tensor([token_ids])).logits[0, -1].argmax()))
    return token_ids[len(prompt_ids) :]


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_batch_writes_the_reference_tokens(variant: str, tmp_path: Path) -> None:
    """Three rows share passes of at most 50 tokens, and speculate."""
    reference = make_tiny_checkpoint(tmp_path, tokenizer=False, **TINY_VARIANTS[variant])  # type: ignore[arg-type]  # a table of keyword arguments
    engine = _engine(tmp_path, Dtype.FLOAT32)
    requests = [
        replace(build_request(name, _prompt(name), max_new_tokens=N_NEW), speculates=True)
        for name in PROMPTS
    ]
    deltas = run_all(engine, requests)
    n_drafted = 0
    for name, prompt_ids in PROMPTS.items():
        finish = last_of(deltas[name])
        found = _token_ids(finish)
        assert found == _greedy(reference, prompt_ids, len(found))
        assert finish is not None
        n_drafted += finish.n_drafted_tokens
    assert n_drafted > 0


@pytest.mark.skipif(not has_fbgemm(), reason="int8 for these shapes needs FBGEMM")
@pytest.mark.parametrize("variant", VARIANTS)
def test_int8_loads_every_family_and_keeps_rows_apart(variant: str, tmp_path: Path) -> None:
    """In int8 a row's tokens are those that it has alone."""
    make_tiny_checkpoint(tmp_path, tokenizer=False, **TINY_VARIANTS[variant])  # type: ignore[arg-type]  # a table of keyword arguments
    requests = [build_request(name, _prompt(name), max_new_tokens=N_NEW) for name in PROMPTS]
    deltas = run_all(_engine(tmp_path, Dtype.INT8), requests)
    for request in requests:
        alone = run_alone(_engine(tmp_path, Dtype.INT8), request)
        assert _token_ids(last_of(deltas[request.request_id])) == _token_ids(alone)
