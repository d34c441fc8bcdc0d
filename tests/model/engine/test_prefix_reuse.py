"""What a typist computes anew, by the counters: hardly anything, however many buffers are open."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fimble_model.engine.protocol import Finish
from fimble_testing.tiny_engines import build_engine, build_request, run_alone
from fimble_testing.tiny_tokenizers import TRAINING_TEXT

CONTEXT_CHUNK = "# Path: other.py\n" + TRAINING_TEXT[1200:1330] + "\n"


@pytest.mark.parametrize("n_buffers", [1, 4])
@pytest.mark.parametrize("chunk", ["", CONTEXT_CHUNK], ids=["plain", "chunk in front"])
def test_typing_in_several_buffers_in_turn_reuses_nearly_everything(
    n_buffers: int, chunk: str
) -> None:
    """Their windows' starts and suffixes stay, as the completer keeps them while one types."""
    engine = build_engine(has_memory=False)
    finishes: list[Finish] = []
    for n_typed in range(24):
        for index in range(n_buffers):
            start = 130 * index
            prompt = engine.codec.encode_fim(
                prefix=chunk + TRAINING_TEXT[start : start + 170 + n_typed],
                suffix=TRAINING_TEXT[start + 240 : start + 280],
            )
            request = build_request(f"{n_typed} {index}", prompt, max_new_tokens=3)
            request = replace(request, client="one", owner=f"buffer {index}")
            finishes.append(run_alone(engine, request))
    after_opening = finishes[n_buffers:]
    n_prompt = sum(finish.n_prompt_tokens for finish in after_opening)
    assert sum(finish.n_reused_tokens for finish in after_opening) >= 0.95 * n_prompt
    for finish in after_opening:
        assert finish.n_prefilled_tokens == finish.n_prompt_tokens - finish.n_reused_tokens


def test_candidates_that_arrive_together_prefill_their_prompt_once() -> None:
    engine = build_engine(has_memory=False)
    prompt = engine.codec.encode_fim(prefix=TRAINING_TEXT[:400], suffix="")
    for index in range(3):
        engine.add(replace(build_request(f"{index}", prompt), client="one", owner="buffer"))
    finishes = []
    while engine.has_work:
        finishes += [delta.finish for delta in engine.step() if delta.finish]
    n_prefilled = sum(finish.n_prefilled_tokens for finish in finishes)
    assert n_prefilled == len(prompt.token_ids) + 2
