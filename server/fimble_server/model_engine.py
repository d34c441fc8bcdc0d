"""From the user's model settings to the engine they mean.

Owns that one step, the same for the server, the terminal and the doctor. Called where the engine
is to live: it may import torch.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Mapping, Sequence

import fimble_model
from fimble_model import LoadProgress, Stated
from fimble_model.backends.endpoint import OUR_PARAMETERS, Endpoint
from fimble_model.engine.protocol import Engine
from fimble_model.gpu_wishes import GpuWishes
from fimble_model.self_test import TestedItem
from fimble_server.errors import SettingsError
from fimble_server.settings import ModelSettings

__all__ = ["build_engine", "endpoint_of", "stated_in"]

_STORE_NAME = "fimble"


def endpoint_of(settings: ModelSettings, environment: Mapping[str, str]) -> Endpoint:
    """The server that the settings name, with its key. Raises `SettingsError` for lacks."""
    assert settings.endpoint is not None, "asked where there is one"
    is_raw = settings.endpoint_fim == "raw"
    if is_raw and settings.fim_family is None:
        raise SettingsError(
            path="model.fim_family",
            source="the settings",
            expected="the format of the server's model",
            found="none",
            to_do="State it, or set model.endpoint_fim to suffix if the server writes the format.",
        )
    endpoint = Endpoint(
        url=settings.endpoint.rstrip("/"),
        model=settings.name,
        fim_family=settings.fim_family if is_raw else None,
        fim_order=settings.fim_order,
        timeout_s=settings.endpoint_timeout_s,
        parameters=_parse_parameters(settings.endpoint_parameters),
    )
    return dataclasses.replace(endpoint, key=_find_key(settings, endpoint.host, environment))


def _parse_parameters(lines: Sequence[str]) -> dict[str, object]:
    """The value of each name. Raises `SettingsError` for what is no JSON, or ours to say."""
    parameters: dict[str, object] = {}
    for line in lines:
        name, _, value = line.partition("=")
        name = name.strip()
        try:
            parameters[name] = json.loads(value)
        except ValueError as error:
            raise _bad_parameter("a JSON value after the name, like top_k=40", line) from error
        if not name or name in OUR_PARAMETERS:
            raise _bad_parameter(f"none of {', '.join(sorted(OUR_PARAMETERS))}", line)
    return parameters


def _bad_parameter(expected: str, found: str) -> SettingsError:
    return SettingsError(
        path="model.endpoint_parameters",
        source="the settings",
        expected=expected,
        found=repr(found),
        to_do="Mend that line.",
    )


def _find_key(settings: ModelSettings, host: str, environment: Mapping[str, str]) -> str | None:
    variable = settings.endpoint_key_variable
    if variable is None:
        return _stored_key(host)
    if not environment.get(variable):
        raise SettingsError(
            path="model.endpoint_key_variable",
            source="the environment",
            expected=f"a key in {variable}",
            found="nothing",
            to_do=f"Export {variable} where the editor starts, or take the setting out.",
        )
    return environment[variable]


def _stored_key(host: str) -> str | None:
    """The key in the system's own store, where the library for it is installed."""
    try:
        import keyring
    except ImportError:
        return None
    try:
        key = keyring.get_password(_STORE_NAME, host)
    except keyring.errors.KeyringError:
        return None
    return str(key) if key else None


def stated_in(settings: ModelSettings) -> Stated:
    """What the settings say of the model that its files may not tell."""
    return Stated(
        fim_family=settings.fim_family,
        fim_order=settings.fim_order,
        runs_code_of=settings.remote_code,
    )


def build_engine(
    settings: ModelSettings,
    on_progress: Callable[[LoadProgress], None] | None = None,
    on_tested: Callable[[TestedItem], None] | None = None,
) -> Engine:
    """The engine, warm for the first key. Raises `FimbleError` where there is none to be had."""
    if settings.endpoint is not None:
        from fimble_model.backends.endpoint_loading import load_endpoint

        return load_endpoint(endpoint_of(settings, os.environ), on_tested=on_tested)
    return fimble_model.load(
        settings.name,
        device=settings.device,
        dtype=settings.dtype,
        n_threads=settings.n_threads,
        cache_bytes=_to_bytes(settings.cache_mib),
        cap_bytes=_to_bytes(settings.memory_mib),
        gpu_wishes=GpuWishes(cache_share=settings.gpu_cache_share, has_graphs=settings.gpu_graphs),
        stated=stated_in(settings),
        on_progress=on_progress,
        on_tested=on_tested,
    )


def _to_bytes(n_mib: int | None) -> int | None:
    return None if n_mib is None else n_mib * 2**20
