"""`fimble models use|pull|remove`: one model, by its name.

Owns what these verbs do. A model is tried before the settings name it: one that does not load is
refused with the reason, and the settings stay.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import NoReturn

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from fimble_model.finding import find_model, is_on_a_hub, lacks_code
from fimble_model.store.cache import CachedModel, find_cached, remove, throw_away_damaged
from fimble_model.store.licences import describe_licence
from fimble_model.store.memory import refuse_larger_than_memory
from fimble_model.store.model_ids import ModelId
from fimble_model.store.near_names import suggest
from fimble_model.store.pulling import PullProgress, pull
from fimble_model.store.remote import Remote, look_up
from fimble_server.commandline.amounts import words_of_size
from fimble_server.errors import CheckpointError
from fimble_server.model_engine import build_engine
from fimble_server.model_words import describe_model, describe_privacy
from fimble_server.settings import ModelSettings
from fimble_server.settings_file import set_model_name

__all__ = ["pull_model", "remove_model", "use_model"]

_INTERRUPTED = 130


def use_model(console: Console, name: str, settings: ModelSettings, path: Path) -> None:
    """Fetch the model if need be, load it once, and name it in the settings file at `path`."""
    model_id = is_on_a_hub(name)
    if model_id is not None:
        name = str(_bring(console, model_id, settings, anyway=False).pinned)
    elif (here := Path(name).expanduser()).exists() and find_model(name).folder == here:
        name = str(here.resolve())  # An editor starts the server in some other folder.
    with console.status("loading it once"):
        engine = build_engine(dataclasses.replace(settings, name=name, endpoint=None))
    set_model_name(path, name)
    model = engine.model
    size = f"{model.n_parameters / 1e6:.1f}M parameters, " if model.n_parameters else ""
    console.print(
        f"{describe_model(model)} is in use from now on: {size}format {model.fim_family}. "
        f"Written to {path}.",
        highlight=False,
        soft_wrap=True,
    )
    if settings.endpoint is not None:
        console.print(f"The server at {settings.endpoint} is not asked any more.", highlight=False)
    console.print(describe_privacy(model), style="dim")


def pull_model(
    console: Console, name: str, settings: ModelSettings, *, anyway: bool = False
) -> None:
    """Fetch a hub's model into the cache, or check it there; `anyway` for another machine."""
    model = _bring(console, _hub_id(name), settings, anyway=anyway)
    console.print(f"{model.pinned} is on this machine, whole: {model.place}", highlight=False,
                  soft_wrap=True)  # fmt: skip


def remove_model(console: Console, name: str, settings: ModelSettings) -> None:
    """Delete a hub's model from the cache."""
    model_id = _hub_id(name)
    n_bytes = remove(model_id)
    if n_bytes == 0:
        near = suggest(name)
        raise CheckpointError(
            expected=f"{name} in the cache",
            found="nothing of that name",
            to_do=("" if near is None else f"Did you mean {near}? ")
            + "See what is here: fimble models.",
        )
    console.print(f"Removed: {words_of_size(n_bytes)} are free again.", highlight=False)
    if settings.name.partition("@")[0].partition(":")[0] == model_id.repository:
        console.print(
            f"Your settings still name it: it would be fetched again. "
            f"To choose another: fimble models use {ModelSettings().name}",
            highlight=False,
        )


def _bring(
    console: Console, model_id: ModelId, settings: ModelSettings, *, anyway: bool
) -> CachedModel:
    """The model in the cache, pinned and checked; what is missing or damaged is fetched."""
    cached = find_cached(model_id)
    if cached is not None and cached.lack is None:
        with console.status(f"checking {cached.pinned}"):
            damaged = throw_away_damaged(cached)
        if not damaged and not (
            _allows_code(cached.pinned, settings) and lacks_code(cached.folder)
        ):
            return cached
        if damaged:
            console.print(f"{', '.join(damaged)} was altered here: fetching it anew.")
        model_id = cached.pinned
    remote = look_up(model_id)
    console.print(
        f"{remote.pinned}\nlicence: {describe_licence(remote.licence)}",
        highlight=False,
        soft_wrap=True,
    )
    if not anyway:
        refuse_larger_than_memory(remote)
    return _pull(console, remote, with_code=_say_of_code(console, remote, settings))


def _allows_code(pinned: ModelId, settings: ModelSettings) -> bool:
    return str(pinned) in settings.remote_code


def _say_of_code(console: Console, remote: Remote, settings: ModelSettings) -> bool:
    """Whether Python that the model brings is to be fetched, and what that means."""
    if not remote.code or not _allows_code(remote.pinned, settings):
        return False
    names = ", ".join(file.name for file in remote.code)
    console.print(
        f"Warning: it brings Python code of its own ({names}), which model.remote_code allows for "
        "this commit. That code can do all that you can. Read it before you use the model.",
        style="yellow",
        highlight=False,
    )
    return True


def _pull(console: Console, remote: Remote, *, with_code: bool) -> CachedModel:
    last = PullProgress(n_bytes=0, n_total_bytes=remote.n_bytes, file="")
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=console,
    ) as bars:
        bar = bars.add_task("looking", total=remote.n_bytes)

        def show(progress: PullProgress) -> None:
            nonlocal last
            last = progress
            bars.update(
                bar,
                completed=progress.n_bytes,
                total=progress.n_total_bytes,
                description=progress.file or "whole",
            )

        try:
            return pull(remote, with_code=with_code, on_progress=show)
        except KeyboardInterrupt:
            bars.stop()
            _stop(console, remote, last)


def _stop(console: Console, remote: Remote, last: PullProgress) -> NoReturn:
    console.print(
        f"Stopped. {words_of_size(last.n_bytes)} of {words_of_size(last.n_total_bytes)} are kept: "
        f"fimble models pull {remote.repository} goes on from there.",
        highlight=False,
        soft_wrap=True,
    )
    raise SystemExit(_INTERRUPTED)


def _hub_id(name: str) -> ModelId:
    model_id = is_on_a_hub(name)
    if model_id is None:
        near = suggest(name)
        raise CheckpointError(
            expected="a hub's model, like Qwen/Qwen2.5-Coder-1.5B",
            found=f"{name!r}, which ships with Fimble or is no name of a hub's",
            to_do=("" if near is None else f"Did you mean {near}? ")
            + "Name a model as OWNER/NAME, or OWNER/NAME@REVISION.",
        )
    return model_id
