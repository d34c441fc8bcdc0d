"""VS Code's manifest declares the settings of the code: made from it, and in the same words."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from fimble_server.settings import iter_dials
from fimble_server.settings_schema import manifest_with_settings

MANIFEST = Path(__file__).resolve().parents[3] / "editors" / "vscode" / "package.json"
OWN = "fimble.editor."  # The extension's own settings: the server never hears of them.


def _declared() -> dict[str, dict[str, object]]:
    pages = json.loads(MANIFEST.read_text(encoding="utf-8"))["contributes"]["configuration"]
    return {name: declared for page in pages for name, declared in page["properties"].items()}


def test_the_manifest_s_settings_are_the_code_s() -> None:
    """Where this fails, run editors/vscode/write_settings.py."""
    text = MANIFEST.read_text(encoding="utf-8")
    assert manifest_with_settings(text) == text


def test_every_setting_is_declared_and_no_other() -> None:
    """One entry a dial."""
    declared = {name for name in _declared() if not name.startswith(OWN)}
    assert declared == {f"fimble.{path}" for path, _, _ in iter_dials()}


@pytest.mark.parametrize("path", [path for path, _, _ in iter_dials()])
def test_what_the_editor_lets_through_the_server_takes(path: str) -> None:
    """Bounds and words of the manifest are those of the dial."""
    declared = _declared()[f"fimble.{path}"]
    dial = next(dial for each, _, dial in iter_dials() if each == path)
    assert (declared.get("minimum"), declared.get("maximum")) == (dial.least, dial.most)
    words = declared.get("enum")
    assert words is None or (isinstance(words, list) and all(dial.allows(word) for word in words))
    pattern = declared.get("pattern")
    for word in ("auto", "cpu", "cuda:1", "nonsense ", ""):
        if isinstance(pattern, str):
            assert (re.search(pattern, word) is not None) == dial.allows(word)


def test_settings_that_name_programs_are_not_a_project_s_to_set() -> None:
    """A folder that is merely opened must not choose what runs."""
    own = {name: each for name, each in _declared().items() if name.startswith(OWN)}
    assert own
    assert all(each["scope"] == "machine" for each in own.values())


def test_no_proposed_api_is_asked_for() -> None:
    """An extension that lists proposals cannot be installed in the editor people use."""
    assert "enabledApiProposals" not in json.loads(MANIFEST.read_text(encoding="utf-8"))
