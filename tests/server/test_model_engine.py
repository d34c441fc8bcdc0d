"""From settings to an engine over a server: keys, lacks, and what the doctor and status say."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked

from fimble_model.gpu_wishes import GpuWishes
from fimble_model.self_test import KNOWN_HOLES
from fimble_server.commandline.doctor import examine
from fimble_server.errors import SettingsError
from fimble_server.lsp.engine_status import EngineState, EngineStatus
from fimble_server.lsp.status_note import plan_status_note
from fimble_server.model_engine import build_engine, endpoint_of
from fimble_server.settings import ModelSettings
from fimble_testing.fake_completions import FakeCompletions, serve_completions
from fimble_testing.raw_client import inline_params
from fimble_testing.server_process import REAL_SERVER, start_server

URL = "https://gateway.example/v1"


@pytest.fixture
def fake() -> Iterator[FakeCompletions]:
    with serve_completions() as served:
        yield served


def _settings(url: str, **more: object) -> ModelSettings:
    return ModelSettings(name="coder", endpoint=url, fim_family="starcoder", **more)  # type: ignore[arg-type]


def test_the_key_comes_from_the_variable_that_the_settings_name() -> None:
    settings = _settings(URL + "/", endpoint_key_variable="TEAM_KEY")
    endpoint = endpoint_of(settings, {"TEAM_KEY": "s3cret"})
    assert (endpoint.key, endpoint.url) == ("s3cret", URL)
    assert "s3cret" not in repr(endpoint)
    with pytest.raises(SettingsError, match="TEAM_KEY"):
        endpoint_of(settings, {})


def test_a_raw_prompt_needs_a_stated_format_and_a_suffix_does_not() -> None:
    with pytest.raises(SettingsError, match=r"model\.fim_family"):
        endpoint_of(ModelSettings(name="coder", endpoint=URL), {})
    settings = ModelSettings(name="coder", endpoint=URL, endpoint_fim="suffix", fim_family="x")
    assert endpoint_of(settings, {}).fim_family is None


def test_no_text_leaves_unless_an_endpoint_is_set() -> None:
    assert ModelSettings().endpoint is None
    engine = build_engine(ModelSettings(n_threads=1))
    assert engine.model.sends_text_to is None


def test_the_settings_of_a_gpu_reach_the_loading(monkeypatch: pytest.MonkeyPatch) -> None:
    wishes: list[GpuWishes] = []

    def load(name: str, *, gpu_wishes: GpuWishes, **_: object) -> None:
        wishes.append(gpu_wishes)

    monkeypatch.setattr("fimble_model.load", load)
    build_engine(ModelSettings())
    build_engine(ModelSettings(gpu_cache_share=0.25, gpu_graphs=False))
    assert [each[:2] for each in wishes] == [(0.4, True), (0.25, False)]


def test_status_and_doctor_say_where_text_goes(fake: FakeCompletions) -> None:
    fake.answers = {hole.prefix.rstrip(): hole.begins_with for hole in KNOWN_HOLES}
    settings = _settings(fake.url)
    engine = build_engine(settings)
    status = EngineStatus(state=EngineState.READY, model=engine.model)
    note = plan_status_note(engine=status, is_enabled=True, settings_error=None, is_thinking=False)
    host = fake.url.removeprefix("http://").removesuffix("/v1")
    assert note.message == f"coder: text goes to {host} (on this machine)"
    found = {finding.name: finding for finding in examine(settings)}
    assert host in found["privacy"].found
    assert "model.endpoint" in found["privacy"].to_do
    assert found["completion"].ok
    assert all(finding.ok for finding in found.values())


def test_the_doctor_finds_a_format_that_is_not_the_models(fake: FakeCompletions) -> None:
    """A server takes any prompt: only what it writes tells. It is not refused, but named."""
    (finding,) = [each for each in examine(_settings(fake.url)) if not each.ok]
    assert (finding.name, finding.found) == ("known holes", "none filled")
    assert "model.fim_family" in finding.to_do
    build_engine(_settings(fake.url))


def test_more_that_requests_say_is_read_as_json(fake: FakeCompletions) -> None:
    lines = ("top_k=40", "repeat_penalty = 1.05", "seed_name=null", 'lora="mine=1"')
    endpoint = endpoint_of(_settings(URL, endpoint_parameters=lines), {})
    assert endpoint.parameters == {
        "top_k": 40,
        "repeat_penalty": 1.05,
        "seed_name": None,
        "lora": "mine=1",
    }


@pytest.mark.parametrize("line", ["top_k", "top_k=", "top_k=forty", "=1", 'prompt="x"', "stream=1"])
def test_a_parameter_that_is_none_or_ours_is_refused(line: str) -> None:
    with pytest.raises(SettingsError, match=r"model\.endpoint_parameters"):
        endpoint_of(_settings(URL, endpoint_parameters=(line,)), {})


class _KeyStore(KeyringBackend):
    """A system's key store that has one key, or is locked."""

    priority = 1.0
    is_locked = False

    def get_password(self, service: str, username: str) -> str | None:
        if self.is_locked:
            raise KeyringLocked
        return {("fimble", "gateway.example"): "st0red"}.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        raise AssertionError("nothing is stored by us")

    def delete_password(self, service: str, username: str) -> None:
        raise AssertionError("nothing is deleted by us")


@pytest.fixture
def key_store() -> Iterator[_KeyStore]:
    before = keyring.get_keyring()
    store = _KeyStore()  # type: ignore[no-untyped-call]  # keyring's own constructor has no types
    keyring.set_keyring(store)
    yield store
    keyring.set_keyring(before)


def test_the_key_comes_from_the_systems_store_where_no_variable_is_named(
    key_store: _KeyStore,
) -> None:
    endpoint = endpoint_of(_settings(URL), {})
    assert endpoint.key == "st0red"
    assert "st0red" not in repr(endpoint)
    assert endpoint_of(_settings("https://other.example/v1"), {}).key is None
    named = _settings(URL, endpoint_key_variable="TEAM_KEY")
    assert endpoint_of(named, {"TEAM_KEY": "s3cret"}).key == "s3cret"


def test_a_locked_store_or_none_is_no_key(
    key_store: _KeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    key_store.is_locked = True
    assert endpoint_of(_settings(URL), {}).key is None
    monkeypatch.setitem(sys.modules, "keyring", None)
    assert endpoint_of(_settings(URL), {}).key is None


def test_the_stored_key_is_sent(fake: FakeCompletions, key_store: _KeyStore) -> None:
    host = fake.url.removeprefix("http://").removesuffix("/v1")
    key_store.get_password = lambda service, username: {  # type: ignore[method-assign]  # its port is new each time
        ("fimble", host): "st0red"
    }.get((service, username))
    build_engine(_settings(fake.url))
    assert set(fake.keys) == {"Bearer st0red"}


def test_the_doctor_says_what_is_wrong_with_a_server(fake: FakeCompletions) -> None:
    fake.status = 401
    (finding,) = [each for each in examine(_settings(fake.url)) if not each.ok]
    assert "401" in finding.found
    assert "endpoint_key_variable" in finding.to_do


async def test_an_editor_is_served_by_a_server_elsewhere(
    fake: FakeCompletions, tmp_path: object
) -> None:
    from pathlib import Path

    uri = "file:///project/one.py"
    model = {"name": "coder", "endpoint": fake.url, "fim_family": "qwen2.5-coder"}
    completion = {"eagerness": 1, "acceleration_deadline_ms": 10_000}
    async with start_server(Path(str(tmp_path)), "--stdio", command=REAL_SERVER) as server:
        client = server.client
        await client.initialize(initializationOptions={"model": model, "completion": completion})
        client.open(uri, "def add(left, right):\n    return \n")
        answer = await client.request("textDocument/inlineCompletion", inline_params(uri, 1, 11))
        assert [item["insertText"] for item in answer["items"]] == ["left + right"]
        status = await client.request("fimble/status", None)
        assert status["model"]["back_end"] == "endpoint"
        assert status["model"]["sends_text_to"].endswith("(on this machine)")
