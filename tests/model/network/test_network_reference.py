"""The network equals transformers in float32, whole and through a cache, in every family."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor

from fimble_model.network.attention import DenseCausal
from fimble_model.network.device import Dtype, Placement
from fimble_model.network.families import FAMILIES
from fimble_model.network.weights import load_network, to_checkpoint_tensors
from fimble_testing.checkpoints import TINY_VARIANTS, make_tiny_checkpoint
from fimble_testing.ragged_rows import CachedRow, run_rows

FLOAT32 = Placement(device="cpu", dtype=Dtype.FLOAT32, n_threads=1)
TOLERANCE = 1e-4

VARIANTS: dict[str, dict[str, object]] = TINY_VARIANTS | {
    "qwen3, in shards": {"family": "qwen3", "shard_size": "20KB"},
    "llama, free head, in shards": {
        "family": "llama",
        "shard_size": "20KB",
        "tie_word_embeddings": False,
    },
    "gpt_bigcode, in shards": {"family": "gpt_bigcode", "shard_size": "20KB"},
}
# One of each shape of attention and of positions.
CACHED = (
    "qwen3, tied",
    "qwen2, yarn",
    "llama, llama3",
    "mistral, a window",
    "starcoder2, a window",
    "gpt_bigcode",
    "gemma",
    "stablelm, normed heads",
    "granite",
    "falcon, as the 40B",
    "qwen3_moe, normed weights and a dense layer",
    "qwen3, a window in its last layer",
)


def _token_ids(n_rows: int, n_tokens: int) -> Tensor:
    return torch.randint(0, 512, (n_rows, n_tokens), generator=torch.Generator().manual_seed(7))


def _reference_logits(model: torch.nn.Module, token_ids_BT: Tensor) -> Tensor:
    with torch.inference_mode():
        logits: Tensor = model(token_ids_BT).logits
    return logits


def _largest_difference(ours: Tensor, theirs: Tensor) -> float:
    return float((ours - theirs).abs().max())


@pytest.mark.parametrize("variant", VARIANTS)
def test_logits_equal_the_reference(variant: str, tmp_path: Path) -> None:
    """Two rows of equal length, nothing cached."""
    reference = make_tiny_checkpoint(tmp_path, tokenizer=False, **VARIANTS[variant])  # type: ignore[arg-type]  # a table of keyword arguments
    network = load_network(tmp_path, FLOAT32)
    token_ids_BT = _token_ids(2, 70)
    with torch.inference_mode():
        hidden_NE = network(
            token_ids_BT.flatten(),
            torch.arange(70).repeat(2),
            DenseCausal(n_rows=2, n_tokens=70),
        )
        logits_BTV = network.logits(hidden_NE).view(2, 70, -1)
    assert _largest_difference(logits_BTV, _reference_logits(reference, token_ids_BT)) <= TOLERANCE
    assert network.config.n_parameters == reference.num_parameters()


@pytest.mark.parametrize("variant", CACHED)
@pytest.mark.parametrize(
    "chunks",
    [((200, 130),), ((1, 1), (1, 0), (63, 64), (65, 1), (1, 30), (69, 34))],
    ids=["whole", "chunked"],
)
def test_ragged_rows_equal_the_reference(
    variant: str, chunks: Sequence[tuple[int, int]], tmp_path: Path
) -> None:
    """Rows of different lengths share every pass, whole or cut into chunks."""
    reference = make_tiny_checkpoint(tmp_path, tokenizer=False, **VARIANTS[variant])  # type: ignore[arg-type]  # a table of keyword arguments
    network = load_network(tmp_path, FLOAT32)
    token_ids_BT = _token_ids(2, 200)
    rows = [CachedRow(network.config, 256) for _ in range(2)]
    found: list[list[Tensor]] = [[], []]
    for sizes in chunks:
        pieces = [
            token_ids_BT[index, row.n_cached : row.n_cached + size]
            for index, (row, size) in enumerate(zip(rows, sizes, strict=True))
        ]
        for index, logits_TV in enumerate(run_rows(network, rows, pieces)):
            found[index].append(logits_TV)
    expected_BTV = _reference_logits(reference, token_ids_BT)
    for index, n_tokens in enumerate((200, 130)):
        ours = torch.cat(found[index])
        assert _largest_difference(ours, expected_BTV[index, :n_tokens]) <= TOLERANCE


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_storage_is_widened_without_loss(dtype: torch.dtype, tmp_path: Path) -> None:
    """A checkpoint in 16 bits computes in float32 with exactly the stored numbers."""
    saved = make_tiny_checkpoint(tmp_path, tokenizer=False, dtype=dtype)
    # Read back, for casting a live model would round its rotary frequencies too.
    reference = type(saved).from_pretrained(tmp_path, dtype=torch.float32)
    network = load_network(tmp_path, FLOAT32)
    token_ids_BT = _token_ids(1, 40)
    row = CachedRow(network.config, 64)
    (logits_TV,) = run_rows(network, [row], [token_ids_BT[0]])
    assert _largest_difference(logits_TV, _reference_logits(reference, token_ids_BT)[0]) <= 1e-4


@pytest.mark.parametrize(
    "variant",
    [
        "qwen3, tied",
        "llama, attention biases",
        "qwen2, free head",
        "gpt_bigcode, a key head for each query head",
        "falcon, as the 40B",
        "stablelm, normed heads",
    ],
)
def test_what_is_written_out_is_what_was_read(variant: str, tmp_path: Path) -> None:
    """The tensors under public names equal the reference's own, bit for bit."""
    reference = make_tiny_checkpoint(tmp_path, tokenizer=False, **VARIANTS[variant])  # type: ignore[arg-type]  # a table of keyword arguments
    names = FAMILIES[str(VARIANTS[variant]["family"])].names
    tensors = to_checkpoint_tensors(load_network(tmp_path, FLOAT32), names)
    expected = dict(reference.named_parameters())
    assert tensors.keys() == expected.keys()
    assert all(torch.equal(tensors[key], expected[key]) for key in expected)


def test_progress_rises_to_one(tmp_path: Path) -> None:
    """Loading reports a growing share that ends at 1."""
    make_tiny_checkpoint(tmp_path, tokenizer=False)
    shares: list[float] = []
    load_network(tmp_path, FLOAT32, shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert len(shares) > 10
