"""`fimble models ...` against a hub over loopback: found, fetched, tried, named, removed."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from fimble_server.cli import app
from fimble_server.errors import FimbleError
from fimble_testing.fake_hub import FakeHub, serve_hub
from fimble_testing.tiny_checkpoint import write_tiny_checkpoint

NAME = "makers/tiny-coder"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """A hub with one whole model, and a cache of the test's own."""
    folder = write_tiny_checkpoint(tmp_path / "repository")
    with serve_hub() as served:
        served.repositories[NAME] = folder
        # As HF_ENDPOINT and HF_HUB_CACHE would, had they been set when the library was imported.
        constants = "huggingface_hub.constants."
        form = served.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants + "ENDPOINT", served.endpoint)
        monkeypatch.setattr(constants + "HUGGINGFACE_CO_URL_TEMPLATE", form)
        monkeypatch.setattr(constants + "HF_HUB_CACHE", str(tmp_path / "cache"))
        yield served


def _run(*arguments: str) -> Result:
    result = CliRunner().invoke(app, ["models", *arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_a_model_is_fetched_tried_and_named_with_its_revision(hub: FakeHub, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text("# Mine.\n[completion]\neagerness = 0.7\n", encoding="utf-8")
    said = _run("use", NAME, "--config", str(config)).output
    assert NAME in said
    assert "apache-2.0" in said
    written = config.read_text(encoding="utf-8")
    assert written.startswith("# Mine.\n")
    values = tomllib.loads(written)
    assert values["model"]["name"] == f"{NAME}@{hub.commit_of(NAME)}"
    assert values["completion"]["eagerness"] == 0.7
    listed = json.loads(_run("--json", "--config", str(config)).output)
    assert [(each["name"], each["current"]) for each in listed["cached"]] == [(NAME, True)]


def test_what_is_used_once_is_used_without_a_hub(hub: FakeHub, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    _run("pull", NAME)
    n_asked = len(hub.requests)
    _run("use", NAME, "--config", str(config))
    assert len(hub.requests) == n_asked


def test_a_model_that_does_not_load_leaves_the_settings_alone(hub: FakeHub, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text('model = "fimble-nano"\n', encoding="utf-8")
    (hub.repositories[NAME] / "config.json").write_text('{"model_type": "unheard-of"}')
    with pytest.raises(FimbleError, match="unheard-of"):
        _run("use", NAME, "--config", str(config))
    assert config.read_text(encoding="utf-8") == 'model = "fimble-nano"\n'


def test_a_short_form_in_the_settings_becomes_the_new_name(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text('model = "some-folder"\n', encoding="utf-8")
    _run("use", "fimble-nano", "--config", str(config))
    assert tomllib.loads(config.read_text(encoding="utf-8"))["model"]["name"] == "fimble-nano"


def test_info_tells_licence_and_size_before_anything_is_fetched(hub: FakeHub) -> None:
    said = _run("info", NAME).output
    assert "apache-2.0" in said
    assert hub.commit_of(NAME) in said
    assert not [path for _, path, _ in hub.requests if "resolve" in path]


def test_remove_frees_what_pull_fetched_and_says_where_nothing_is(hub: FakeHub) -> None:
    _run("pull", NAME)
    assert "free again" in _run("remove", NAME).output
    with pytest.raises(FimbleError, match="nothing of that name"):
        _run("remove", NAME)


def test_a_folder_is_not_pulled(tmp_path: Path) -> None:
    with pytest.raises(FimbleError, match="OWNER/NAME"):
        _run("pull", str(tmp_path))


def test_the_list_says_what_would_fit_this_machine() -> None:
    listed = json.loads(_run("--json").output)
    assert listed["recommended"]
    for each in listed["recommended"]:
        assert each["line_ms"] > each["first_token_ms"] > 0
        assert each["licence"]


def test_bench_measures_the_model_that_is_named() -> None:
    assert "a key typed on" in _run("bench", "fimble-nano").output
