"""Laws of scoring: a growing row equals the whole pass, and cases put the document together."""

import random

import pytest
import torch
from tokenizers import Tokenizer

from fimble_model.network.attention import DenseCausal
from fimble_model.network.config import NetworkConfig
from fimble_model.network.transformer import Transformer
from fimble_model.training.samples import Layout, SampleMaker
from fimble_model.training.scoring import (
    LineCase,
    choose_line_cases,
    complete_line,
    score_network,
)


@pytest.fixture
def network(tiny_config: NetworkConfig) -> Transformer:
    network = Transformer(tiny_config)
    network.initialise(5)
    with torch.no_grad():
        network.embedding.weight.mul_(20)
    return network.requires_grad_(False)


@pytest.mark.parametrize("is_whole_line", [False, True])
def test_a_case_is_a_run_of_its_document(texts: list[str], is_whole_line: bool) -> None:
    for case in choose_line_cases(texts, random.Random(0), n_cases=50, is_whole_line=is_whole_line):
        assert case.prefix + case.line_end + case.suffix in texts
        assert case.line_end.strip()
        assert "\n" not in case.line_end
        if is_whole_line:
            assert not case.prefix.split("\n")[-1].strip()


def test_a_line_is_completed_as_by_whole_passes(network: Transformer, tokenizer: Tokenizer) -> None:
    case = LineCase(prefix="def f(x):\n    return ", line_end="", suffix="\n\nf(1)\n")
    prefix_ids = tokenizer.encode(case.prefix, add_special_tokens=False).ids
    prompt = SampleMaker(tokenizer).lay_out_prompt(Layout.SPM, prefix_ids, case.suffix)
    token_ids = list(prompt)
    for _ in range(48):
        attend = DenseCausal(n_rows=1, n_tokens=len(token_ids))
        hidden_NE = network(torch.tensor(token_ids), torch.arange(len(token_ids)), attend)
        next_id = int(network.logits(hidden_NE)[-1].argmax())
        if next_id == tokenizer.token_to_id("<|endoftext|>"):
            break
        token_ids.append(next_id)
    written = tokenizer.decode(token_ids[len(prompt) :]).split("\n")[0].rstrip()
    assert complete_line(network, tokenizer, case) == written


def test_an_untrained_network_pays_for_every_token(
    tiny_config: NetworkConfig, tokenizer: Tokenizer, texts: list[str]
) -> None:
    network = Transformer(tiny_config)
    network.initialise(6)
    network.requires_grad_(False)
    network.embedding.weight.zero_()
    score = score_network(network, tokenizer, texts, n_chars=5000, n_cases=2)
    n_tokens = sum(len(tokenizer.encode(text).ids) for text in texts)
    tokens_per_char = n_tokens / sum(map(len, texts))
    # All logits are equal: each token costs log2(352) = 8.46 bits.
    assert score.bits_per_char == pytest.approx(8.46 * tokens_per_char, rel=0.1)
    assert score.xz_bits_per_char < score.bits_per_char
    assert score.line_end_share == 0.0
