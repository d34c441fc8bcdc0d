"""Laws of what is said unasked: each change once, in order, and only to those who listen."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import pytest_asyncio

from fimble_model import LoadProgress
from fimble_model.engine.protocol import Engine
from fimble_model.errors import CheckpointError
from fimble_server.errors import SettingsError
from fimble_server.lsp.engine_runner import ReportProgress
from fimble_server.lsp.engine_status import EngineState, EngineStatus
from fimble_server.lsp.session import SessionHouse
from fimble_server.lsp.status_note import plan_status_note
from fimble_server.settings import ModelSettings
from fimble_server.settings_layers import SettingsLayer
from fimble_testing.fake_engine import FakeEngine
from fimble_testing.raw_client import RawClient, inline_params
from fimble_testing.scripted_completer import ScriptedCompleter
from fimble_testing.server_in_process import connected, open_house

URI = "file:///a.py"
PROGRESS = {"window": {"workDoneProgress": True}}


@dataclass
class _Loader:
    """Loads a fake engine, or fails, once the test opens the gate."""

    gate: threading.Event = field(default_factory=threading.Event)
    error: CheckpointError | None = None
    loaded: list[str] = field(default_factory=list)

    def __call__(self, settings: ModelSettings, report: ReportProgress) -> Engine:
        self.loaded.append(settings.name)
        for percent in range(50):
            report(LoadProgress(message="reading", done=percent / 100))
        assert self.gate.wait(10)
        report(LoadProgress(message="warming up", done=0.9))
        if self.error is not None:
            raise self.error
        return FakeEngine(lambda _: "x")


@pytest.fixture
def loader() -> _Loader:
    return _Loader()


@pytest_asyncio.fixture
async def house(loader: _Loader) -> AsyncIterator[SessionHouse]:
    async with open_house(lambda _: ScriptedCompleter(), load=loader) as house:
        yield house
        loader.gate.set()


def _is_progress(kind: str) -> Callable[[Any], bool]:
    return lambda told: (
        told.get("method") == "$/progress" and (told["params"]["value"]["kind"] == kind)
    )


def _n_requests(client: RawClient, method: str) -> int:
    return sum(told.get("method") == method for told in client.messages)


async def test_loading_is_shown_from_its_begin_to_its_end(
    house: SessionHouse, loader: _Loader
) -> None:
    async with connected(house) as client:
        await client.initialize(capabilities=PROGRESS)
        await client.message(_is_progress("begin"))
        loader.gate.set()
        await client.message(_is_progress("end"))
        values = [told["value"] for told in client.notifications("$/progress")]
        assert values[0]["kind"] == "begin"
        assert [value["kind"] for value in values].count("end") == 1
        percents = [value["percentage"] for value in values if "percentage" in value]
        assert percents == sorted(percents)
        assert len(percents) < 20


async def test_a_client_without_progress_is_not_asked_for_it(
    house: SessionHouse, loader: _Loader
) -> None:
    async with connected(house) as client:
        await client.initialize()
        loader.gate.set()
        await client.notification("didChangeStatus", busy=False, kind="Normal")
        assert not client.notifications("$/progress")
        assert _n_requests(client, "window/workDoneProgress/create") == 0


async def test_the_status_goes_from_loading_to_ready_and_says_each_once(
    house: SessionHouse, loader: _Loader
) -> None:
    async with connected(house) as client:
        await client.initialize()
        await client.notification("didChangeStatus", busy=True)
        assert (await client.request("fimble/status"))["state"] == "loading"
        loader.gate.set()
        await client.notification("didChangeStatus", busy=False)
        told = client.notifications("didChangeStatus")
        assert [(note["kind"], note["busy"]) for note in told] == [
            ("Normal", True),
            ("Normal", False),
        ]
        assert "fake" in told[-1]["message"]


async def test_the_model_loads_only_when_a_client_is_ready(
    house: SessionHouse, loader: _Loader
) -> None:
    async with connected(house) as client:
        await client.request("initialize", {"capabilities": {}})
        assert (await client.request("fimble/status"))["state"] == "not started"
        assert not loader.loaded
        assert not client.notifications("didChangeStatus")
        client.notify("initialized", {})
        assert (await client.request("fimble/status"))["state"] == "loading"


async def test_a_model_that_fails_is_one_clear_message_and_empty_answers(
    house: SessionHouse, loader: _Loader
) -> None:
    loader.error = CheckpointError(expected="a folder", found="none", to_do="Name one.")
    loader.gate.set()
    async with connected(house) as client:
        await client.initialize()
        note = await client.notification("didChangeStatus", kind="Error")
        assert note["message"] == "Expected a folder; found none. Name one."
        client.open(URI, "a\n")
        for _ in range(3):
            await client.request("textDocument/inlineCompletion", inline_params(URI, 0, 1))
        shown = client.notifications("window/showMessage")
        assert [told["message"] for told in shown] == [
            "Fimble: Expected a folder; found none. Name one."
        ]


async def test_another_model_in_the_settings_is_loaded_and_mends_a_failure(
    house: SessionHouse, loader: _Loader
) -> None:
    loader.error = CheckpointError(expected="a folder", found="none", to_do="Name one.")
    loader.gate.set()
    async with connected(house) as client:
        await client.initialize(initializationOptions={"model": "bad"})
        await client.notification("didChangeStatus", kind="Error")
        loader.error = None
        for _ in range(2):
            client.notify("workspace/didChangeConfiguration", {"settings": {"model": "good"}})
        await client.notification("didChangeStatus", busy=False, kind="Normal")
        assert loader.loaded == ["bad", "good"]


async def test_switching_off_and_on_is_told(house: SessionHouse, loader: _Loader) -> None:
    loader.gate.set()
    async with connected(house) as client:
        await client.initialize(initializationOptions={"completion": {"enabled": False}})
        await client.notification("didChangeStatus", kind="Inactive")
        client.notify(
            "workspace/didChangeConfiguration", {"settings": {"completion": {"enabled": True}}}
        )
        await client.notification("didChangeStatus", kind="Normal", busy=False)


async def test_a_shared_house_loads_its_own_model_whatever_a_client_wants(
    loader: _Loader,
) -> None:
    loader.gate.set()
    layers = (SettingsLayer(source="file", values={"model": "ours"}),)
    async with open_house(
        lambda _: ScriptedCompleter(), load=loader, layers=layers, is_shared=True
    ) as house:
        house.host.want(ModelSettings(name="ours"))
        with pytest.raises(SettingsError, match="shared server"):
            house.host.want(ModelSettings(name="theirs"))
        async with connected(house) as client:
            await client.initialize(initializationOptions={"model": "theirs"})
            await client.notification("didChangeStatus", kind="Warning")
    assert loader.loaded == ["ours"]


async def test_a_request_that_takes_long_shows_as_busy_until_it_is_answered(
    loader: _Loader,
) -> None:
    loader.gate.set()
    completer = ScriptedCompleter()
    async with open_house(lambda _: completer, load=loader) as house, connected(house) as client:
        await client.initialize()
        await client.notification("didChangeStatus", busy=False, kind="Normal")
        client.messages.clear()
        completer.gate.clear()
        client.open(URI, "a\n")
        _, future = client.ask("textDocument/inlineCompletion", inline_params(URI, 0, 1))
        await client.notification("didChangeStatus", busy=True, kind="Normal")
        completer.gate.set()
        await future
        await client.notification("didChangeStatus", busy=False, kind="Normal")


def test_a_failed_model_is_said_before_a_bad_setting_and_that_before_the_rest() -> None:
    error = CheckpointError(expected="a", found="b", to_do="c.")
    setting = SettingsError(path="x", source="y", expected="a", found="b", to_do="c.")
    failed = EngineStatus(state=EngineState.FAILED, error=error)
    kinds = [
        plan_status_note(
            engine=engine, is_enabled=is_enabled, settings_error=refused, is_thinking=True
        ).kind
        for engine, is_enabled, refused in (
            (failed, False, setting),
            (EngineStatus(), False, setting),
            (EngineStatus(), False, None),
            (EngineStatus(), True, None),
        )
    ]
    assert kinds == ["Error", "Warning", "Inactive", "Normal"]
