"""`fimble models info`: what a model is, before it is fetched, on the disk, or at a server.

Owns these words. Loads no model; of a hub's it reads what the hub says, and config.json.
"""

from __future__ import annotations

import os

from rich.console import Console
from rich.table import Table

import fimble_model
from fimble_model.describing import Description, describe
from fimble_model.finding import FoundModel, find_model, is_on_a_hub
from fimble_model.store.cache import find_cached
from fimble_model.store.licences import describe_licence
from fimble_model.store.memory import total_memory_bytes
from fimble_model.store.model_ids import ModelId
from fimble_model.store.prospects import Prospect, count_weights, foresee
from fimble_model.store.remote import Remote, look_up, try_read_config
from fimble_server.commandline.amounts import words_of_size, words_of_time
from fimble_server.commandline.this_machine import measure_machine
from fimble_server.errors import FimbleError
from fimble_server.model_engine import endpoint_of, stated_in
from fimble_server.settings import ModelSettings

__all__ = ["show_model"]

_Rows = list[tuple[str, str]]


def show_model(console: Console, name: str, settings: ModelSettings) -> None:
    """Print what a name means. Raises `FimbleError` where it means nothing."""
    if settings.endpoint is not None and name == settings.name:
        _print(console, _endpoint_rows(settings))
        return
    model_id = is_on_a_hub(name)
    cached = None if model_id is None else find_cached(model_id)
    if model_id is None:
        found = find_model(name)
        _print(console, [("model", found.name), *_rows_here(found, settings)])
    elif cached is not None and cached.lack is None:
        found = FoundModel(name=str(model_id), folder=cached.place, repository=model_id.repository)
        rows = [("model", cached.repository), ("revision", cached.revision)]
        _print(console, [*rows, *_rows_here(found, settings)])
    else:
        _print(console, _rows_there(model_id, look_up(model_id)))


def _rows_here(found: FoundModel, settings: ModelSettings) -> _Rows:
    description = describe(found, stated_in(settings))
    ships = any(model.folder == found.folder for model in fimble_model.shipped_models())
    licence = fimble_model.SHIPPED_LICENCE if ships else description.licence
    return [
        ("here", str(found.folder)),
        ("size", f"{words_of_size(description.n_bytes)}, {description.form}"),
        ("licence", describe_licence(licence)),
        *_prospect_rows(description.prospect),
        ("context", _context(description)),
        ("format", description.fim_family or f"not known: {description.refusal}"),
    ]


def _rows_there(model_id: ModelId, remote: Remote) -> _Rows:
    config = None if remote.gguf else try_read_config(remote)
    prospect = foresee(config, count_weights(remote))
    is_file = remote.gguf is not None
    rows = [
        ("model", remote.repository + (f":{remote.gguf}" if is_file else "")),
        ("revision", remote.revision),
        ("licence", describe_licence(remote.licence)),
        ("terms", "to be agreed to on its page first" if remote.is_gated else "none to agree to"),
        ("here", "no"),
        ("to fetch", f"{words_of_size(remote.n_bytes)} in {len(remote.files)} files"),
    ]
    rows += _prospect_rows(prospect)
    total = total_memory_bytes()
    if total is not None and prospect.weight_bytes > total:
        rows.append(("too large", f"this machine has {words_of_size(total)} of memory"))
    if remote.code:
        names = ", ".join(file.name for file in remote.code)
        needed = "needed, and not" if prospect.needs_code else "not needed, and not"
        rows.append(("Python of its own", f"{needed} fetched unless you allow it: {names}"))
    return [*rows, ("to fetch it", f"fimble models use {model_id}")]


def _prospect_rows(prospect: Prospect) -> _Rows:
    reckoning = prospect.reckon(measure_machine())
    way = "by Fimble itself, in int8 on a CPU"
    if not prospect.is_native:
        way = "through transformers: slower, in float32 on a CPU"
    if prospect.needs_code:
        way += "; needs Python of its own to be allowed (model.remote_code)"
    return [
        ("weights", f"{prospect.n_parameters / 1e6:,.1f} million"),
        ("runs", way),
        ("memory", f"{words_of_size(reckoning.needed_bytes)} on this CPU"),
        (
            "a keystroke",
            f"about {words_of_time(reckoning.first_token_ms)} to the first word, "
            f"{words_of_time(reckoning.line_ms)} to a line (reckoned)",
        ),
    ]


def _endpoint_rows(settings: ModelSettings) -> _Rows:
    from fimble_model.backends.endpoint_loading import load_endpoint

    endpoint = endpoint_of(settings, os.environ)
    try:
        load_endpoint(endpoint)
        answers = "yes"
    except FimbleError as error:
        answers = f"no: {error}"
    return [
        ("model", settings.name),
        ("server", f"{settings.endpoint} (text around the cursor goes there)"),
        ("format", settings.fim_family or "the server's"),
        ("key", "sent" if endpoint.key is not None else "none"),
        ("answers", answers),
        ("licence", "its server's own affair"),
    ]


def _context(description: Description) -> str:
    n_tokens = description.context_tokens
    return "not stated" if n_tokens is None else f"{n_tokens:,} tokens"


def _print(console: Console, rows: _Rows) -> None:
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for row in rows:
        table.add_row(*row)
    console.print(table, highlight=False)
