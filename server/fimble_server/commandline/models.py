"""`fimble models`: what ships, what is on this machine, and what would suit it.

Owns the listing. Asks no hub: what is recommended is known beforehand, and reckoned for this
machine from what was measured on it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

import fimble_model
from fimble_model.store.cache import CachedModel, cached_models, licence_in
from fimble_model.store.catalogue import CATALOGUE, KnownModel
from fimble_model.store.licences import describe_licence
from fimble_model.store.reckoning import Machine, Reckoning, reckon
from fimble_model.store.recommending import Verdict, judge
from fimble_server.commandline.amounts import words_of_size, words_of_time
from fimble_server.commandline.this_machine import measure_machine
from fimble_server.settings import ModelSettings

__all__ = ["list_models", "reckon_known"]

_STYLES = {Verdict.RECOMMENDED: "bold", Verdict.TOO_LARGE: "dim"}


class _Known(NamedTuple):
    """A model of the catalogue, what it would need here, and what to think of it."""

    model: KnownModel
    reckoning: Reckoning
    verdict: Verdict


def list_models(console: Console, *, as_json: bool, settings: ModelSettings) -> None:
    """Print the models as tables, or as one JSON object; `settings` say which is in use."""
    cached, machine = cached_models(), measure_machine()
    if as_json:
        console.print_json(json.dumps(_to_json(cached, machine, settings)))
        return
    if settings.endpoint is not None:
        console.print(
            f"In use: {settings.name} at {settings.endpoint}. Text around the cursor goes there.\n",
            highlight=False,
        )
    _print_shipped(console, settings)
    if cached:
        _print_cached(console, cached, settings)
    _print_known(console, cached, machine)
    console.print(
        "A folder with config.json, tokenizer.json and safetensors works too, and a GGUF file.\n"
        "To choose one: fimble models use NAME; what it is: fimble models info NAME",
        style="dim",
        highlight=False,
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


def _judge_known(machine: Machine) -> list[_Known]:
    reckonings = [reckon_known(known, machine) for known in CATALOGUE]
    return [_Known(*each) for each in zip(CATALOGUE, reckonings, judge(reckonings), strict=True)]


def _is_current(model: CachedModel, settings: ModelSettings) -> bool:
    name = settings.name.partition("@")[0].partition(":")[0]
    is_file = model.gguf is None or settings.name.endswith(f":{model.gguf}")
    return settings.endpoint is None and name == model.repository and is_file


def _to_json(
    cached: Sequence[CachedModel], machine: Machine, settings: ModelSettings
) -> dict[str, list[dict[str, object]]]:
    default_name = fimble_model.default_model_name()
    shipped: list[dict[str, object]] = [
        {
            "name": model.name,
            "folder": str(model.folder),
            "bytes": model.n_bytes,
            "licence": fimble_model.SHIPPED_LICENCE,
            "default": model.name == default_name,
            "current": settings.endpoint is None and model.name == settings.name,
        }
        for model in fimble_model.shipped_models()
    ]
    here: list[dict[str, object]] = [
        {
            "name": model.repository,
            "revision": model.revision,
            "pinned": str(model.pinned),
            "folder": str(model.folder),
            "bytes": model.n_bytes,
            "licence": licence_in(model.folder),
            "whole": model.lack is None,
            "current": _is_current(model, settings),
        }
        for model in cached
    ]
    known: list[dict[str, object]] = [
        {
            "name": each.model.repository,
            "licence": each.model.licence,
            "limits": describe_licence(each.model.licence),
            "gated": each.model.is_gated,
            "fits": each.reckoning.fits,
            "verdict": each.verdict.value,
            "needed_bytes": each.reckoning.needed_bytes,
            "first_token_ms": round(each.reckoning.first_token_ms),
            "line_ms": round(each.reckoning.line_ms),
        }
        for each in _judge_known(machine)
    ]
    return {"models": shipped, "cached": here, "recommended": known}


def _print_shipped(console: Console, settings: ModelSettings) -> None:
    default_name = fimble_model.default_model_name()
    table = _table("ships with Fimble", "size", "")
    for model in fimble_model.shipped_models():
        marks = [
            word
            for word, holds in (
                ("in use", settings.endpoint is None and model.name == settings.name),
                ("default", model.name == default_name),
            )
            if holds
        ]
        name = _name(model.name, fimble_model.SHIPPED_LICENCE)
        table.add_row(name, words_of_size(model.n_bytes), ", ".join(marks))
    console.print(table)


def _print_cached(console: Console, cached: Sequence[CachedModel], settings: ModelSettings) -> None:
    table = _table("on this machine", "size", "", "revision")
    for model in cached:
        mark = "in use" if _is_current(model, settings) else ""
        if model.lack is not None:
            mark = f"no {model.lack}"
        name = model.repository + ("" if model.gguf is None else f":{model.gguf}")
        size = words_of_size(model.n_bytes)
        table.add_row(_name(name, licence_in(model.folder)), size, mark, model.revision[:10])
    console.print()
    console.print(table)


def _print_known(console: Console, cached: Sequence[CachedModel], machine: Machine) -> None:
    table = _table("to be had", "memory", "first word", "a line", "")
    here = {model.repository for model in cached}
    for known, reckoning, verdict in _judge_known(machine):
        if known.repository in here:
            continue
        table.add_row(
            _name(known.repository, known.licence, is_gated=known.is_gated),
            words_of_size(reckoning.needed_bytes),
            words_of_time(reckoning.first_token_ms),
            words_of_time(reckoning.line_ms),
            verdict.value,
            style=_STYLES.get(verdict, ""),
        )
    console.print()
    console.print(table)
    speed = f"{machine.bandwidth_bytes_s / 1e9:.0f} GB/s"
    console.print(
        f"Times are reckoned for int8 on this CPU, which reads {speed} just now; "
        "fimble models bench NAME measures a model that is here.",
        style="dim",
        highlight=False,
    )


def _name(name: str, licence: str | None, *, is_gated: bool = False) -> str:
    terms = "; agree on its page first" if is_gated else ""
    return f"{name}\n  [dim]{describe_licence(licence)}{terms}[/dim]"


def _table(*headers: str) -> Table:
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    for index, header in enumerate(headers):
        table.add_column(header, overflow="fold", no_wrap=index > 0 and header != "")
    return table
