"""`fimble models`: what ships, what is on this machine, and what would suit it.

Owns the listing. Asks no hub: what is recommended is known beforehand, and reckoned for this
machine from what was measured on it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

import fimble_model
from fimble_model.store.cache import CachedModel, cached_models
from fimble_model.store.catalogue import CATALOGUE, KnownModel
from fimble_model.store.reckoning import Machine, Reckoning, reckon
from fimble_server.commandline.this_machine import measure_machine

__all__ = ["list_models", "reckon_known"]


def list_models(console: Console, *, as_json: bool, current: str) -> None:
    """Print the models as tables, or as one JSON object. `current` is the one in the settings."""
    cached, machine = cached_models(), measure_machine()
    if as_json:
        console.print_json(json.dumps(_to_json(cached, machine, current)))
        return
    _print_shipped(console, current)
    if cached:
        _print_cached(console, cached, current)
    _print_recommended(console, cached, machine)
    console.print(
        "A folder with config.json, tokenizer.json and safetensors works too. To choose one: "
        "fimble models use NAME-OR-FOLDER",
        style="dim",
    )


def reckon_known(known: KnownModel, machine: Machine) -> Reckoning:
    """What a model of the catalogue would need and do here."""
    return reckon(
        n_parameters=known.n_parameters,
        n_layers=known.n_layers,
        n_key_heads=known.n_key_heads,
        head_size=known.head_size,
        machine=machine,
    )


def _to_json(
    cached: Sequence[CachedModel], machine: Machine, current: str
) -> dict[str, list[dict[str, object]]]:
    default_name = fimble_model.default_model_name()
    shipped: list[dict[str, object]] = [
        {
            "name": model.name,
            "folder": str(model.folder),
            "bytes": model.n_bytes,
            "default": model.name == default_name,
            "current": model.name == current,
        }
        for model in fimble_model.shipped_models()
    ]
    here: list[dict[str, object]] = [
        {
            "name": model.repository,
            "revision": model.revision,
            "folder": str(model.folder),
            "bytes": model.n_bytes,
            "whole": model.lack is None,
            "current": current.partition("@")[0] == model.repository,
        }
        for model in cached
    ]
    recommended: list[dict[str, object]] = []
    for known in CATALOGUE:
        reckoning = reckon_known(known, machine)
        recommended.append(
            {
                "name": known.repository,
                "licence": known.licence,
                "note": known.note,
                "fits": reckoning.fits,
                "needed_bytes": reckoning.needed_bytes,
                "first_token_ms": round(reckoning.first_token_ms),
                "line_ms": round(reckoning.line_ms),
            }
        )
    return {"models": shipped, "cached": here, "recommended": recommended}


def _print_shipped(console: Console, current: str) -> None:
    default_name = fimble_model.default_model_name()
    table = Table("ships with Fimble", "size", "", box=None, header_style="bold")
    table.add_column("folder", overflow="fold")
    for model in fimble_model.shipped_models():
        marks = [
            word
            for word, holds in (
                ("in use", model.name == current),
                ("default", model.name == default_name),
            )
            if holds
        ]
        size = f"{model.n_bytes / 2**20:.1f} MiB"
        table.add_row(model.name, size, ", ".join(marks), str(model.folder))
    console.print(table)


def _print_cached(console: Console, cached: Sequence[CachedModel], current: str) -> None:
    table = Table("on this machine", "size", "", "revision", box=None, header_style="bold")
    for model in cached:
        mark = "in use" if current.partition("@")[0] == model.repository else ""
        if model.lack is not None:
            mark = f"not whole: no {model.lack}"
        size = f"{model.n_bytes / 2**30:.2f} GiB"
        table.add_row(model.repository, size, mark, model.revision[:10])
    console.print()
    console.print(table)


def _print_recommended(console: Console, cached: Sequence[CachedModel], machine: Machine) -> None:
    table = Table(box=None, header_style="bold")
    for header in ("to be had", "memory", "first word", "a line", "licence"):
        table.add_column(header, overflow="fold")
    here = {model.repository for model in cached}
    for known in CATALOGUE:
        if known.repository in here:
            continue
        reckoning = reckon_known(known, machine)
        table.add_row(
            known.repository,
            f"{reckoning.needed_bytes / 2**30:.1f} GiB" + ("" if reckoning.fits else " (too much)"),
            f"{reckoning.first_token_ms:.0f} ms",
            f"{reckoning.line_ms:.0f} ms",
            known.licence + (f" ({known.note})" if known.note else ""),
            style="" if reckoning.fits else "dim",
        )
    console.print()
    console.print(table)
    speed = f"{machine.bandwidth_bytes_s / 1e9:.0f} GB/s"
    console.print(
        f"Times are reckoned for int8 on this CPU, which reads {speed}; "
        "fimble models bench measures a model that is here.",
        style="dim",
    )
