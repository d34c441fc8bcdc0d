"""What a pass costs by its shape is what the slow obvious count says; an engine adds it up."""

from __future__ import annotations

from fimble_model.network.config import NetworkConfig
from fimble_model.network.cost import RowShape, cost_of
from fimble_model.network.device import Dtype, Placement
from fimble_model.network.transformer import Transformer
from fimble_model.network.weights import random_network
from fimble_testing.tiny_engines import TINY_CONFIG, build_engine, build_request, run_alone


def _matrix_numbers(transformer: Transformer) -> int:
    """Numbers in matrices that every token passes through, the tied head included."""
    return sum(each.numel() for each in transformer.parameters() if each.dim() == 2)


def test_a_pass_costs_two_operations_a_weight_and_four_a_slot_and_head() -> None:
    config: NetworkConfig = TINY_CONFIG
    network = random_network(config, Placement(device="cpu", dtype=Dtype.FLOAT32))
    cost = cost_of(config, bytes_per_weight=4, bytes_per_slot=100)
    assert cost.weight_bytes == 4 * _matrix_numbers(network)
    alone = [RowShape(1, 0, 1)]
    attention = 4 * config.n_layers * config.n_query_heads * config.head_size
    assert cost.flops(alone) == 2 * _matrix_numbers(network) + attention
    assert cost.bytes_read(alone) == 4 * _matrix_numbers(network) + 100


def test_a_prompt_costs_the_same_in_one_chunk_and_token_by_token() -> None:
    cost = cost_of(TINY_CONFIG, bytes_per_weight=1, bytes_per_slot=1)
    token_by_token = sum(cost.flops([RowShape(1, n, 0)]) for n in range(7))
    assert cost.flops([RowShape(7, 0, 0)]) == token_by_token
    assert cost.bytes_read([RowShape(7, 0, 0)]) < cost.bytes_read([RowShape(7, 0, 1)])


def test_an_engine_counts_its_passes_tokens_and_bytes() -> None:
    engine = build_engine(has_memory=False)
    prompt = engine.codec.encode_fim(prefix="def add(a, b):\n    return ", suffix="\n")
    finish = run_alone(engine, build_request("a", prompt, max_new_tokens=4))
    work, holdings = engine.work, engine.holdings
    assert work.n_pass_tokens >= finish.n_prompt_tokens + len(finish.tokens) - 1
    assert work.n_passes >= 2
    assert work.bytes_read >= work.n_passes * (holdings.weight_bytes - 520 * 32 * 4)
    assert work.flops > 0
    assert holdings.cache_bytes == engine.n_cache_bytes <= holdings.cache_limit_bytes
    assert (holdings.n_rows, holdings.n_waiting) == (0, 0)
