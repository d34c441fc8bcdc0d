"""Laws of the settings: every dial is bounded, every mistake is named by its path and place."""

from __future__ import annotations

from pathlib import Path

import pytest

from fimble_server.completion.plan import Limits
from fimble_server.errors import SettingsError
from fimble_server.settings import Settings, iter_dials, limits_from, settings_table_markdown
from fimble_server.settings_layers import (
    SettingsLayer,
    layer_from_editor,
    load_settings_file,
    merge_settings,
    settings_file_path,
)

EDITOR = "initializationOptions"


def _read(payload: object) -> Settings:
    return merge_settings([layer_from_editor(payload, source=EDITOR)])


def _refused(payload: object) -> SettingsError:
    with pytest.raises(SettingsError) as caught:
        _read(payload)
    return caught.value


def test_no_layers_are_the_defaults() -> None:
    assert merge_settings([]) == Settings()


def test_a_later_layer_wins_dial_by_dial() -> None:
    file = SettingsLayer(
        source="file", values={"completion": {"eagerness": 0.1, "menu": False}, "model": "a"}
    )
    editor = SettingsLayer(source="editor", values={"completion": {"eagerness": 0.9}})
    settings = merge_settings([file, editor])
    assert settings.completion.eagerness == 0.9
    assert settings.completion.menu is False
    assert settings.model.name == "a"


@pytest.mark.parametrize(
    "payload", [None, {}, {"fimble": {}}, {"fimble": None}, {"gopls": {"x": 1}}]
)
def test_an_editor_with_nothing_to_say_leaves_the_defaults(payload: object) -> None:
    """Also one that sends the settings of every server it knows."""
    assert _read(payload) == Settings()


@pytest.mark.parametrize("wrap", [lambda tree: tree, lambda tree: {"fimble": tree}])
def test_settings_arrive_bare_or_under_our_name(wrap: object) -> None:
    assert callable(wrap)
    assert _read(wrap({"completion": {"enabled": False}})).completion.enabled is False


@pytest.mark.parametrize(
    ("payload", "path", "near"),
    [
        ({"completion": {"eagernes": 1}}, "completion.eagernes", "completion.eagerness"),
        ({"completions": {"eagerness": 1}}, "completions", "completion"),
        ({"fimble": {"eagerness": 1}}, "eagerness", "completion.eagerness"),
        ({"fimble": {"model": {"threads": 1}}}, "model.threads", "model.n_threads"),
    ],
)
def test_an_unknown_setting_is_refused_by_its_path_with_the_nearest(
    payload: object, path: str, near: str
) -> None:
    error = _refused(payload)
    assert error.path == path
    assert error.to_do == f"Did you mean {near}?"
    assert EDITOR in str(error)


@pytest.mark.parametrize(
    ("payload", "path", "expected"),
    [
        ({"completion": {"eagerness": "1"}}, "completion.eagerness", "a number"),
        ({"completion": {"eagerness": True}}, "completion.eagerness", "a number"),
        ({"completion": {"eagerness": 1.5}}, "completion.eagerness", "a number from 0 to 1"),
        (
            {"completion": {"eagerness": float("nan")}},
            "completion.eagerness",
            "a number from 0 to 1",
        ),
        ({"completion": {"enabled": 1}}, "completion.enabled", "true or false"),
        ({"completion": {"disabled_languages": "go"}}, "completion.disabled_languages", "a list"),
        ({"completion": 3}, "completion", "an object"),
        ({"model": {"n_threads": 0}}, "model.n_threads", "a number from 1"),
        ({"model": {"n_threads": 2.0}}, "model.n_threads", "a whole number"),
        ({"model": {"device": "tpu"}}, "model.device", "`auto`, `cpu`"),
        ({"model": ""}, "model.name", "a name or a folder"),
    ],
)
def test_a_bad_value_is_refused_with_path_expected_and_found(
    payload: object, path: str, expected: str
) -> None:
    error = _refused(payload)
    assert error.path == path
    assert error.expected.startswith(expected)
    assert error.found


def test_settings_that_are_no_object_are_refused() -> None:
    assert "an object of settings" in str(_refused([1, 2]))


def test_a_file_is_read_as_a_layer(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text('model = "some/folder"\n[completion]\neagerness = 1\n', encoding="utf-8")
    settings = merge_settings([load_settings_file(path)])
    assert settings.model.name == "some/folder"
    assert settings.completion.eagerness == 1.0


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("[completion]\n\neagernes = 1\n", "line 3"),
        ("# dials\ncompletion.eagerness = 7\n", "line 2"),
        ("[completion\n", "line 1"),
    ],
)
def test_a_mistake_in_a_file_names_the_file_and_the_line(
    tmp_path: Path, text: str, place: str
) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError) as caught:
        merge_settings([load_settings_file(path)])
    assert str(path) in str(caught.value)
    assert place in str(caught.value)


def test_a_file_that_is_missing_or_no_text_is_refused_by_name(tmp_path: Path) -> None:
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe")
    for path in (tmp_path / "missing.toml", binary):
        with pytest.raises(SettingsError, match=path.name):
            load_settings_file(path)


def test_the_file_is_looked_for_where_the_system_keeps_settings() -> None:
    home = Path("/home/ada")
    assert settings_file_path({}, home) == home / ".config/fimble/config.toml"
    assert settings_file_path({"XDG_CONFIG_HOME": "/x"}, home) == Path("/x/fimble/config.toml")


def test_every_dial_allows_its_default_and_stands_in_the_table() -> None:
    table = settings_table_markdown()
    for path, setting, dial in iter_dials():
        assert setting.default is None or dial.allows(setting.default)
        assert dial.doc.endswith(".")
        assert f"| `{path}` |" in table


def test_the_defaults_bound_a_plan_as_the_plan_itself_does() -> None:
    assert limits_from(Settings().completion) == Limits()
