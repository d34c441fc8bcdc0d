"""`fimble models ...` against a hub over loopback: found, fetched, tried, named, removed."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from fimble_model.training.export_gguf import export_gguf
from fimble_server.cli import app
from fimble_server.errors import FimbleError
from fimble_testing.fake_completions import serve_completions
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


def test_info_tells_licence_size_and_wait_before_anything_is_fetched(
    hub: FakeHub, tmp_path: Path
) -> None:
    """All but config.json, which says how large and whose the network is; nothing is kept."""
    said = _run("info", NAME).output
    assert "apache-2.0" in said
    assert hub.commit_of(NAME) in said
    assert "by Fimble itself, in int8" in said
    assert "to the first word" in said
    fetched = {path.rsplit("/", 1)[1] for _, path, _ in hub.requests if "resolve" in path}
    assert fetched == {"config.json"}
    assert not list((tmp_path / "cache").rglob("config.json"))


def test_info_says_what_runs_slower_and_what_needs_code_of_its_own(hub: FakeHub) -> None:
    folder = hub.repositories[NAME]
    (folder / "config.json").write_text('{"model_type": "own", "auto_map": {"AutoModel": "a.B"}}')
    (folder / "a.py").write_text("raise SystemExit")
    said = " ".join(_run("info", NAME).output.split())
    assert "through transformers: slower" in said
    assert "needs Python of its own to be allowed" in said
    assert "a.py" in said


def test_info_of_what_is_here_asks_no_hub(hub: FakeHub) -> None:
    _run("pull", NAME)
    n_asked = len(hub.requests)
    said = _run("info", NAME).output
    assert "by Fimble itself" in said
    assert "fimble" in said
    assert len(hub.requests) == n_asked


def test_python_of_a_model_comes_only_where_its_pinned_name_is_allowed(
    hub: FakeHub, tmp_path: Path
) -> None:
    (hub.repositories[NAME] / "modeling_own.py").write_text("raise SystemExit")
    config = tmp_path / "config.toml"
    config.write_text(f'[model]\nremote_code = ["{NAME}"]\n', encoding="utf-8")
    _run("pull", NAME, "--config", str(config))
    assert not list((tmp_path / "cache").rglob("*.py"))
    _run("remove", NAME)
    pinned = f"{NAME}@{hub.commit_of(NAME)}"
    config.write_text(f'[model]\nremote_code = ["{pinned}"]\n', encoding="utf-8")
    said = _run("pull", NAME, "--config", str(config)).output
    assert "Warning: it brings Python code" in said
    assert [path.parent.name for path in (tmp_path / "cache").rglob("*.py")] == [
        hub.commit_of(NAME)
    ]


def test_what_was_altered_here_is_fetched_anew_before_it_is_used(
    hub: FakeHub, tmp_path: Path
) -> None:
    _run("pull", NAME)
    weights = next((tmp_path / "cache").rglob("model.safetensors")).resolve()
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x55")
    said = _run("use", NAME, "--config", str(tmp_path / "config.toml")).output
    assert "model.safetensors was altered here" in said


def test_a_pull_that_is_stopped_says_what_is_kept(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(remote: object, **named: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("fimble_server.commandline.model_verbs.pull", stop)
    result = _run("pull", NAME)
    assert result.exit_code == 130
    assert f"fimble models pull {NAME} goes on from there" in result.output


@pytest.mark.parametrize("name", ["Qwen/Qwen2.5-Codr-1.5B", "qwen2.5-coder-1.5b", "fimble-nan0"])
def test_a_mistyped_name_is_answered_with_the_one_it_is_near(hub: FakeHub, name: str) -> None:
    with pytest.raises(
        FimbleError, match=r"Did you mean (Qwen/Qwen2\.5-Coder-1\.5B|fimble-nano)\?"
    ):
        _run("use", name)


def test_a_folder_is_used_by_its_whole_path_wherever_it_was_named_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_tiny_checkpoint(tmp_path / "mine")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    config = tmp_path / "config.toml"
    _run("use", "~/mine", "--config", str(config))
    values = tomllib.loads(config.read_text(encoding="utf-8"))
    assert values["model"]["name"] == str(folder.resolve())


def test_a_folder_without_config_says_what_belongs_there(tmp_path: Path) -> None:
    with pytest.raises(FimbleError, match=r"config\.json.*Name a folder with config\.json"):
        _run("use", str(tmp_path), "--config", str(tmp_path / "config.toml"))


def test_a_file_of_a_hub_is_chosen_by_its_quantisation(hub: FakeHub, tmp_path: Path) -> None:
    """Where several lie there, all are named; the one that is chosen is pinned and used."""
    source, folder = hub.repositories[NAME], tmp_path / "ggufs"
    folder.mkdir()
    for kind in ("f16", "f32"):
        export_gguf(source, folder / f"tiny-{kind}.gguf", kind)
    hub.repositories["makers/tiny-gguf"] = folder
    config = tmp_path / "config.toml"
    with pytest.raises(FimbleError, match=r"tiny-f16\.gguf, tiny-f32\.gguf.*Name one"):
        _run("use", "makers/tiny-gguf", "--config", str(config))
    _run("use", "makers/tiny-gguf:F16", "--config", str(config))
    name = tomllib.loads(config.read_text(encoding="utf-8"))["model"]["name"]
    assert name == f"makers/tiny-gguf@{hub.commit_of('makers/tiny-gguf')}:tiny-f16.gguf"
    assert not list((tmp_path / "cache").rglob("tiny-f32.gguf"))
    listed = json.loads(_run("--json", "--config", str(config)).output)["cached"]
    assert [(each["pinned"], each["whole"], each["current"]) for each in listed] == [
        (name, True, True)
    ]
    assert "GGUF (F16" in _run("info", name).output


def test_a_file_on_the_disk_is_used_and_described(tmp_path: Path) -> None:
    path = tmp_path / "tiny.gguf"
    export_gguf(write_tiny_checkpoint(tmp_path / "mine"), path, "q8_0")
    config = tmp_path / "config.toml"
    said = _run("use", str(path), "--config", str(config)).output
    assert "tiny on cpu (int8)" in said
    said = _run("info", str(path)).output
    assert "GGUF (Q8_0" in said
    assert "fimble" in said


def test_a_server_is_described_measured_and_left_for_a_model_here(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    with serve_completions() as server:
        config.write_text(
            f'[model]\nname = "coder"\nendpoint = "{server.url}"\nendpoint_fim = "suffix"\n',
            encoding="utf-8",
        )
        assert "text around the cursor goes there" in " ".join(
            _run("info", "coder", "--config", str(config)).output.split()
        )
        assert "In use: coder" in _run("--config", str(config)).output
        said = _run("bench", "coder", "--config", str(config)).output
        assert "text goes to" in said
        assert "a key typed on" in said
        n_asked = len(server.bodies)
        said = _run("use", "fimble-nano", "--config", str(config)).output
        assert "is not asked any more" in said
        assert len(server.bodies) == n_asked
    values = tomllib.loads(config.read_text(encoding="utf-8"))["model"]
    assert (values["name"], "endpoint" in values) == ("fimble-nano", False)


def test_a_model_that_is_too_large_is_pulled_for_another_machine_alone(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fimble_model.store.memory.total_memory_bytes", lambda: 1000)
    with pytest.raises(FimbleError, match=r"fits into .* of memory.*--anyway"):
        _run("pull", NAME)
    assert "is on this machine" in _run("pull", NAME, "--anyway").output


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
        assert each["licence"] in each["limits"]
    verdicts = [each["verdict"] for each in listed["recommended"]]
    assert verdicts.count("recommended") <= 1
    assert set(verdicts) <= {"recommended", "suits", "slow", "too large"}
    assert all(each["licence"] == "apache-2.0" for each in listed["models"])


def test_bench_measures_the_model_that_is_named() -> None:
    assert "a key typed on" in _run("bench", "fimble-nano").output
