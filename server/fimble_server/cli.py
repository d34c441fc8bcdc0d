"""The console script `fimble`: its verbs, their options, and the exit codes.

Owns the wiring to typer, the environment and the settings file. What the verbs do is in
`commandline` and `lsp`. Importing this module imports no torch.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from fimble_server import __version__
from fimble_server.cli_models import models_app
from fimble_server.errors import FimbleError
from fimble_server.settings_layers import (
    SettingsLayer,
    cache_folder_path,
    load_settings_file,
    merge_settings,
    settings_file_path,
)

__all__ = ["app", "main"]

app = typer.Typer(
    name="fimble",
    help="Code completion with the model inside: nothing leaves this machine.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

app.add_typer(models_app, name="models")

_PICTURE_COLUMNS = 88
_MODEL_HELP = "A model's name or folder; see `fimble models`."
_CONFIG_HELP = "Settings file (TOML); by default Fimble's own in the user's configuration."

ModelOption = Annotated[str | None, typer.Option("--model", help=_MODEL_HELP)]
ConfigOption = Annotated[Path | None, typer.Option("--config", help=_CONFIG_HELP)]


def main() -> None:
    """Run the console script. A user's mistake is one line on stderr and exit code 2."""
    try:
        app()
    except FimbleError as error:
        Console(stderr=True).print(f"fimble: {error}", style="red", markup=False, highlight=False)
        sys.exit(2)


def _show_version(wanted: bool) -> None:
    if wanted:
        Console().print(f"fimble {__version__}", highlight=False)
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[  # Its callback does the work.
        bool, typer.Option("--version", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Code completion with the model inside: nothing leaves this machine."""


def _read_layers(config: Path | None, model: str | None) -> list[SettingsLayer]:
    """The settings file, then the command line."""
    layers: list[SettingsLayer] = []
    path = config or settings_file_path(os.environ, Path.home())
    if config is not None or path.exists():
        layers.append(load_settings_file(path))
    if model is not None:
        layers.append(SettingsLayer(source="the command line", values={"model": {"name": model}}))
    return layers


@app.command()
def serve(
    listen: Annotated[
        str | None,
        typer.Option(
            metavar="tcp:HOST:PORT|unix:PATH", help="Serve many editors there, not over stdio."
        ),
    ] = None,
    stdio: Annotated[  # Editors append it; stdio is what happens anyway.
        bool, typer.Option("--stdio", help="Serve one editor over stdin and stdout (default).")
    ] = False,
    metrics: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Serve numbers there in Prometheus' form."),
    ] = None,
    metrics_public: Annotated[
        bool, typer.Option("--metrics-public", help="Let other machines read them too.")
    ] = False,
    model: ModelOption = None,
    config: ConfigOption = None,
) -> None:
    """Run the language server."""
    from fimble_server.cli_serve import serve as run_server

    layers = _read_layers(config, model)
    raise typer.Exit(
        run_server(
            layers=layers,
            listen=listen,
            metrics=metrics,
            metrics_public=metrics_public,
            cache=cache_folder_path(os.environ, Path.home()),
        )
    )


@app.command()
def complete(
    targets: Annotated[list[str], typer.Argument(metavar="FILE:LINE:COLUMN...")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON line a target.")] = False,
    explain: Annotated[bool, typer.Option("--explain", help="Say why, and what it cost.")] = False,
    candidates: Annotated[
        int, typer.Option(min=1, max=10, help="How many to offer; more than one as by --invoke.")
    ] = 1,
    invoke: Annotated[
        bool, typer.Option("--invoke", help="As if asked for by key, not by typing.")
    ] = False,
    picture: Annotated[
        Path | None, typer.Option(metavar="SVG", help="Keep what is drawn as a picture.")
    ] = None,
    model: ModelOption = None,
    config: ConfigOption = None,
) -> None:
    """Complete at a cursor; line and column count from 1, the column in characters."""
    from fimble_server.commandline.complete import CompleteOptions, complete_targets
    from fimble_server.commandline.ghost import save_picture

    console = Console(record=picture is not None, width=_PICTURE_COLUMNS if picture else None)

    complete_targets(
        targets,
        options=CompleteOptions(
            as_json=as_json,
            explain=explain,
            n_candidates=candidates,
            # Who types on reads one: several are only ever asked for.
            is_invoked=invoke or candidates > 1,
        ),
        settings=merge_settings(_read_layers(config, model)),
        console=console,
        cache=cache_folder_path(os.environ, Path.home()),
    )
    if picture is not None:
        save_picture(console, picture)


@app.command()
def check(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    model: ModelOption = None,
    config: ConfigOption = None,
) -> None:
    """Look at everything a completion needs, and say what to do where it is wrong."""
    from fimble_server.commandline.doctor import examine

    console = Console()
    all_ok, entries = True, []
    for finding in examine(merge_settings(_read_layers(config, model)).model):
        all_ok = all_ok and finding.ok
        entries.append(finding.to_dict())
        if not as_json:
            mark = "[green]ok[/]  " if finding.ok else "[red]BAD[/] "
            console.print(f"{mark} [bold]{finding.name:<20}[/]", end="")
            console.print(finding.found, markup=False, highlight=False, soft_wrap=True)
            style = "dim" if finding.ok else "yellow"
            console.print(f"     → {finding.to_do}", style=style, markup=False, soft_wrap=True)
    if as_json:
        console.print_json(json.dumps({"ok": all_ok, "findings": entries}))
    raise typer.Exit(0 if all_ok else 1)
