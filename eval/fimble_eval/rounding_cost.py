"""What rounded weights cost: bits per character of the same text with and without rounding.

Owns the measure and its verb. Runs anywhere: on a CPU float32 stands for bfloat16, and rounding is
that of `network.weight_only`, as a GPU serves it.
"""

from __future__ import annotations

import json
import math
import sysconfig
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fimble_model.network.transformer import Transformer

__all__ = ["measure_rounding", "weigh_rounding"]

_WINDOW_TOKENS = 1024
_N_CHARS = 12_000
_N_FILES = 14


def weigh_rounding(
    model: Annotated[str, typer.Argument(help="A model's name or folder.")] = "fimble-nano",
    files: Annotated[
        list[Path] | None, typer.Option("--file", help="Texts; Python's own library if left out.")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
) -> None:
    """Bits a character of a model with plain weights, int8 weights and fp8 weights."""
    from fimble_eval.machine import describe_machine
    from fimble_model.shipped import find_model_folder

    texts = [
        path.read_text(encoding="utf-8", errors="replace")[:_N_CHARS]
        for path in files or _own_library()
    ]
    bits = measure_rounding(find_model_folder(model), texts, device=device)
    result = {
        "model": model,
        "device": device,
        "n_chars": sum(map(len, texts)),
        "bits_per_char": bits,
        **asdict(describe_machine()),
    }
    Console(soft_wrap=True, highlight=False).print(json.dumps(result), markup=False)


def measure_rounding(folder: Path, texts: Sequence[str], *, device: str) -> dict[str, float]:
    """Bits per character by the weights' type. The first token of each window is given."""
    from fimble_model.network.device import Dtype, Placement
    from fimble_model.network.weight_only import round_network
    from fimble_model.network.weights import load_network
    from fimble_model.text.tokenizer import load_tokenizer

    plain = Dtype.FLOAT32 if device == "cpu" else Dtype.BFLOAT16
    tokenizer = load_tokenizer(folder)
    rows = [tokenizer.encode(text) for text in texts]
    n_chars = sum(map(len, texts))
    found = {}
    for name in (plain.value, "int8", "fp8"):
        network = load_network(folder, Placement(device=device, dtype=plain))
        if name != plain.value:
            round_network(network, is_fp8=name == "fp8")
        bits = sum(_count_bits(network, row, device) for row in rows)
        found[name] = round(bits / n_chars, 5)
    return found


def _count_bits(network: Transformer, token_ids: Sequence[int], device: str) -> float:
    import torch
    from torch.nn.functional import cross_entropy

    from fimble_model.network.attention import DenseCausal

    window = min(_WINDOW_TOKENS, network.config.max_positions)
    nats = 0.0
    with torch.inference_mode():
        for start in range(0, len(token_ids) - 1, window):
            ids = torch.tensor(token_ids[start : start + window], device=device)
            attend = DenseCausal(n_rows=1, n_tokens=len(ids))
            hidden = network(ids, torch.arange(len(ids), device=device), attend)
            nats += float(cross_entropy(network.logits(hidden)[:-1], ids[1:], reduction="sum"))
    return nats / math.log(2)


def _own_library() -> list[Path]:
    folder = Path(sysconfig.get_path("stdlib"))
    return sorted(folder.glob("*.py"))[::9][:_N_FILES]
