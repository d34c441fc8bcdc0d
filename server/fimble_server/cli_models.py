"""The verbs below `fimble models`.

Owns their wiring to typer. What they do is in `commandline`.
"""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from fimble_server.settings import ModelSettings
from fimble_server.settings_layers import (
    SettingsLayer,
    load_settings_file,
    merge_settings,
    settings_file_path,
)

__all__ = ["models_app"]

models_app = typer.Typer(
    help="List, choose and fetch models.", invoke_without_command=True, no_args_is_help=False
)

NameArgument = Annotated[
    str,
    typer.Argument(
        metavar="NAME",
        help="A name that ships, a folder, a GGUF file, or a hub's OWNER/NAME, with @REVISION and "
        "for GGUF :FILE if you like.",
    ),
]
ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="Settings file to read, and for `use` to write.")
]

AnywayOption = Annotated[
    bool, typer.Option("--anyway", help="Fetch it though it would not fit into this memory.")
]


def _settings_path(config: Path | None) -> Path:
    return config or settings_file_path(os.environ, Path.home())


def _layers(config: Path | None) -> list[SettingsLayer]:
    path = _settings_path(config)
    return [load_settings_file(path)] if config is not None or path.exists() else []


def _settings(config: Path | None) -> ModelSettings:
    return merge_settings(_layers(config)).model


@models_app.callback()
def list_all(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    config: ConfigOption = None,
) -> None:
    """List the models that ship, those on this machine, and those that would suit it."""
    if context.invoked_subcommand is not None:
        return
    from fimble_server.commandline.models import list_models

    list_models(Console(), as_json=as_json, settings=_settings(config))


@models_app.command()
def use(name: NameArgument, config: ConfigOption = None) -> None:
    """Fetch a model if need be, try it, and have the settings name it."""
    from fimble_server.commandline.model_verbs import use_model

    path = _settings_path(config)
    layers = [load_settings_file(path)] if path.exists() else []
    use_model(Console(), name, merge_settings(layers).model, path)


@models_app.command()
def pull(name: NameArgument, anyway: AnywayOption = False, config: ConfigOption = None) -> None:
    """Fetch a hub's model; one that was cut off goes on. What is here is checked."""
    from fimble_server.commandline.model_verbs import pull_model

    pull_model(Console(), name, _settings(config), anyway=anyway)


@models_app.command()
def info(name: NameArgument, config: ConfigOption = None) -> None:
    """Say what a model is: licence, size, whose network runs it, what a keystroke would wait."""
    from fimble_server.commandline.model_info import show_model

    show_model(Console(), name, _settings(config))


@models_app.command()
def remove(name: NameArgument, config: ConfigOption = None) -> None:
    """Delete a hub's model from this machine, or one revision (NAME@REVISION)."""
    from fimble_server.commandline.model_verbs import remove_model

    remove_model(Console(), name, _settings(config))


@models_app.command()
def bench(name: NameArgument, config: ConfigOption = None) -> None:
    """Load a model and measure what a keystroke would wait."""
    from fimble_server.commandline.model_bench import bench_model

    settings = _settings(config)
    # Another model than the server's own is meant to run here.
    endpoint = settings.endpoint if name == settings.name else None
    bench_model(Console(), dataclasses.replace(settings, name=name, endpoint=endpoint))
