"""A little corpus and its tokenizer, made once for all tests of the workshop."""

import random

import pytest
from tokenizers import Tokenizer

from fimble_model.network.config import NetworkConfig
from fimble_model.training.tokenizer import train_tokenizer


def _module(rng: random.Random, n_functions: int) -> str:
    words = ["count", "total", "path", "name", "value", "item", "row", "size", "letter", "word"]
    lines = ["import math", ""]
    for _ in range(n_functions):
        name, argument, other = rng.sample(words, 3)
        lines += [
            f"def {name}_{argument}({argument}, {other}={rng.randrange(100)}):",
            f'    """The {name} of the {argument}, é 🎉."""',
            f"    if {argument} > {other}:",
            f"        for index in range({other}):",
            f"            {argument} += math.floor({rng.random():.3f} * index)",
            f"    return {argument}",
            "",
            "",
        ]
    return "\n".join(lines)


@pytest.fixture(scope="session")
def texts() -> list[str]:
    """Forty made-up modules, all different."""
    rng = random.Random(0)
    return [_module(rng, 3 + index % 9) for index in range(40)]


@pytest.fixture(scope="session")
def tokenizer(texts: list[str]) -> Tokenizer:
    return train_tokenizer(texts, vocabulary_size=352)


@pytest.fixture(scope="session")
def tiny_config() -> NetworkConfig:
    return NetworkConfig(
        n_layers=2,
        width=32,
        n_query_heads=4,
        n_key_heads=2,
        head_size=8,
        feed_forward_width=48,
        vocabulary_size=352,
        max_positions=128,
        qk_norm=True,
    )
