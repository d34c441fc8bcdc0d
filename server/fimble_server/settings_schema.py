"""The settings as Visual Studio Code's manifest declares them, made from the one tree.

Owns the words of that form. Pure: the manifest's text comes in and goes out; who reads and
writes the file is not known here.
"""

from __future__ import annotations

import dataclasses
import json
import re

from fimble_server.settings import Dial, iter_dials

__all__ = ["manifest_with_settings"]

_TYPES: dict[str, dict[str, object]] = {
    "str": {"type": "string"},
    "str | None": {"type": ["string", "null"]},
    "bool": {"type": "boolean"},
    "int": {"type": "integer"},
    "int | None": {"type": ["integer", "null"]},
    "float": {"type": "number"},
    "tuple[str, ...]": {"type": "array", "items": {"type": "string"}},
}
# Which model fits, and what runs, is the machine's affair; a project may still say which model.
_SCOPES = {
    "model": "machine-overridable",
    "server": "machine",
    "completion": "window",
    "context": "window",
}
# What a project must not be able to say: whose code runs here, and where text is sent.
_MACHINE_ONLY = ("model.remote_code", "model.endpoint")
# The editor draws ghost text: entries in its suggest list as well would fight with it.
_DEFAULTS: dict[str, object] = {"completion.menu": False}
_WORDS_ONLY = re.compile(r"\w+(\|\w+)+")


def manifest_with_settings(manifest: str) -> str:
    """The text of a `package.json` with our settings as they are now; its own stay first.

    A page of settings is ours where its title is the name of one of our sections.
    """
    tree = json.loads(manifest)
    pages = _build_pages()
    titles = {page["title"] for page in pages}
    kept = [page for page in tree["contributes"]["configuration"] if page["title"] not in titles]
    tree["contributes"]["configuration"] = [*kept, *pages]
    return json.dumps(tree, indent=2, ensure_ascii=False) + "\n"


def _build_pages() -> list[dict[str, object]]:
    """One page a section, in the order of the tree."""
    pages: dict[str, dict[str, object]] = {}
    for path, setting, dial in iter_dials():
        section = path.partition(".")[0]
        properties = pages.setdefault(section, {})
        properties[f"fimble.{path}"] = _describe(path, setting, dial, order=len(properties) + 1)
    return [
        {"title": section.capitalize(), "properties": properties}
        for section, properties in pages.items()
    ]


def _describe(
    path: str, setting: dataclasses.Field[object], dial: Dial, *, order: int
) -> dict[str, object]:
    default = list(setting.default) if isinstance(setting.default, tuple) else setting.default
    bounds = _bounds(dial)
    if setting.default is None and isinstance(bounds.get("enum"), list):
        bounds["enum"] = [*dial.pattern.split("|"), None] if dial.pattern else [None]
    return {
        **_TYPES[str(setting.type)],
        "default": _DEFAULTS.get(path, default),
        **bounds,
        "markdownDescription": dial.doc,
        "scope": "machine" if path.startswith(_MACHINE_ONLY) else _SCOPES[path.partition(".")[0]],
        "order": order,
    }


def _bounds(dial: Dial) -> dict[str, object]:
    bounds: dict[str, object] = {}
    if dial.least is not None:
        bounds["minimum"] = dial.least
    if dial.most is not None:
        bounds["maximum"] = dial.most
    if dial.pattern is not None and _WORDS_ONLY.fullmatch(dial.pattern):
        bounds["enum"] = dial.pattern.split("|")
    elif dial.pattern is not None:
        bounds["pattern"] = f"^({dial.pattern})$"
        bounds["patternErrorMessage"] = f"Expected {dial.form.replace('`', '')}."
    return bounds
