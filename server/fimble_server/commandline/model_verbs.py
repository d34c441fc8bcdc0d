"""`fimble models use|pull|info|remove|bench`: one model, by its name.

Owns what these verbs do. A model is tried before the settings name it: one that does not load is
refused with the reason, and the settings stay.
"""

from __future__ import annotations

import dataclasses
import statistics
import time
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from rich.table import Table

from fimble_model.engine.protocol import Engine, Finish, Request, RequestId
from fimble_model.engine.stopping import NeverStop
from fimble_model.finding import find_model, is_on_a_hub
from fimble_model.store.cache import find_cached, remove
from fimble_model.store.model_ids import ModelId
from fimble_model.store.pulling import PullProgress, pull
from fimble_model.store.remote import look_up
from fimble_server.errors import CheckpointError
from fimble_server.model_engine import build_engine
from fimble_server.model_words import describe_model, describe_privacy
from fimble_server.settings import ModelSettings
from fimble_server.settings_file import set_model_name

__all__ = ["bench_model", "pull_model", "remove_model", "show_model", "use_model"]

_N_TYPED = 24
_LINE_TOKENS = 16


def use_model(console: Console, name: str, settings: ModelSettings, path: Path) -> None:
    """Fetch the model if need be, load it once, and name it in the settings file at `path`."""
    model_id = is_on_a_hub(name)
    if model_id is not None:
        name = _pinned(console, model_id)
    engine = _load(name, settings)
    set_model_name(path, name)
    model = engine.model
    size = f"{model.n_parameters / 1e6:.1f}M parameters, " if model.n_parameters else ""
    console.print(
        f"{describe_model(model)} is in use from now on: {size}format {model.fim_family}. "
        f"Written to {path}.",
        highlight=False,
    )
    console.print(describe_privacy(model), style="dim")


def pull_model(console: Console, name: str) -> None:
    """Fetch a hub's model into the cache."""
    pinned = _pinned(console, _hub_id(name))
    console.print(f"{pinned} is on this machine: {find_model(pinned).folder}", highlight=False)


def show_model(console: Console, name: str) -> None:
    """What a hub's model is, before it is fetched; or what a folder holds."""
    model_id = is_on_a_hub(name)
    table = Table(show_header=False, box=None)
    if model_id is None:
        found = find_model(name)
        table.add_row("model", found.name)
        table.add_row("folder", str(found.folder))
    else:
        remote = look_up(model_id)
        table.add_row("model", remote.repository)
        table.add_row("revision", remote.revision)
        table.add_row("licence", remote.licence or "not stated: ask its makers before you use it")
        table.add_row("to fetch", f"{remote.n_bytes / 2**30:.2f} GiB in {len(remote.files)} files")
        table.add_row("terms", "must be agreed to first" if remote.is_gated else "none to agree to")
        cached = find_cached(model_id)
        is_here = cached is not None and cached.lack is None
        table.add_row("here", str(cached.folder) if cached and is_here else "no")
    console.print(table)


def remove_model(console: Console, name: str) -> None:
    """Delete a hub's model from the cache."""
    n_bytes = remove(_hub_id(name))
    if n_bytes == 0:
        raise CheckpointError(
            expected=f"{name} in the cache",
            found="nothing of that name",
            to_do="See what is here: fimble models.",
        )
    console.print(f"Removed: {n_bytes / 2**30:.2f} GiB are free again.", highlight=False)


def bench_model(console: Console, name: str, settings: ModelSettings) -> None:
    """Load a model and type with it: how long a keystroke would wait on this machine."""
    engine = _load(name, settings)
    cold_ms, warm_ms, line_ms = _measure(engine)
    table = Table("measured", "median", box=None, header_style="bold")
    table.add_row("a prompt that is new", f"{cold_ms:.1f} ms")
    table.add_row("a key typed on, first word", f"{warm_ms:.1f} ms")
    table.add_row(f"a line of {_LINE_TOKENS} tokens", f"{line_ms:.1f} ms")
    console.print(table)


def _measure(engine: Engine) -> tuple[float, float, float]:
    text = Path(__file__).read_text(encoding="utf-8")
    suffix = text[2000:2600]
    cold = _time(engine, text[:1500], suffix, 1)
    warm = [_time(engine, text[: 1500 + n], suffix, 1) for n in range(1, _N_TYPED)]
    lines = [_time(engine, text[: 1600 + n], suffix, _LINE_TOKENS) for n in range(5)]
    return cold, statistics.median(warm), statistics.median(lines)


def _time(engine: Engine, prefix: str, suffix: str, n_tokens: int) -> float:
    prompt = engine.codec.encode_fim(prefix=prefix, suffix=suffix)
    started_s = time.perf_counter()
    engine.add(
        Request(
            request_id=RequestId("bench"),
            prompt=prompt,
            max_new_tokens=n_tokens,
            stop=NeverStop(),
        )
    )
    finish: Finish | None = None
    while finish is None:
        finish = next((delta.finish for delta in engine.step() if delta.finish), None)
    return (time.perf_counter() - started_s) * 1000


def _pinned(console: Console, model_id: ModelId) -> str:
    """The model's name with its commit, fetched and checked."""
    cached = find_cached(model_id)
    if cached is not None and cached.lack is None:
        return f"{cached.repository}@{cached.revision}"
    remote = look_up(model_id)
    console.print(f"{remote.repository}, licence: {remote.licence or 'not stated'}")
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        console=console,
    ) as bars:
        bar = bars.add_task(remote.repository, total=remote.n_bytes)

        def show(progress: PullProgress) -> None:
            bars.update(bar, completed=progress.n_bytes, description=progress.file)

        pull(remote, on_progress=show)
    return f"{remote.repository}@{remote.revision}"


def _hub_id(name: str) -> ModelId:
    model_id = is_on_a_hub(name)
    if model_id is None:
        raise CheckpointError(
            expected="a hub's model, like Qwen/Qwen2.5-Coder-1.5B",
            found=f"{name!r}, which ships with Fimble or is a folder",
            to_do="Name a model as OWNER/NAME, or OWNER/NAME@REVISION.",
        )
    return model_id


def _load(name: str, settings: ModelSettings) -> Engine:
    return build_engine(dataclasses.replace(settings, name=name))
