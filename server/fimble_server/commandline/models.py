"""`fimble models`: which models ship with Fimble, how large they are, which is the default."""

from __future__ import annotations

import json

from rich.console import Console
from rich.table import Table

import fimble_model

__all__ = ["list_models"]


def list_models(console: Console, *, as_json: bool) -> None:
    """Print the shipped models as a table, or as one JSON object."""
    default_name = fimble_model.default_model_name()
    shipped = fimble_model.shipped_models()
    if as_json:
        entries = [
            {
                "name": model.name,
                "folder": str(model.folder),
                "bytes": model.n_bytes,
                "default": model.name == default_name,
            }
            for model in shipped
        ]
        console.print_json(json.dumps({"models": entries}))
        return
    table = Table("model", "size", "", box=None, header_style="bold")
    table.add_column("folder", overflow="fold")
    for model in shipped:
        mark = "default" if model.name == default_name else ""
        table.add_row(model.name, f"{model.n_bytes / 2**20:.1f} MiB", mark, str(model.folder))
    console.print(table)
    console.print(
        "Any folder with config.json, tokenizer.json and model.safetensors of a qwen3, qwen2 or "
        "llama shape works too: --model FOLDER.",
        style="dim",
    )
