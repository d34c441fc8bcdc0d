"""From settings to an engine over a server: keys, lacks, and what the doctor and status say."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

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


def test_status_and_doctor_say_where_text_goes(fake: FakeCompletions) -> None:
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
