"""Where settings come from: a TOML file, then the editor; the later layer wins, dial by dial.

Owns reading a layer, refusing what is unknown or out of range by its path, and merging. Never
keeps the result and never reads the environment: paths are passed in.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn, TypeVar, cast

from cattrs import BaseValidationError, ClassValidationError, Converter, ForbiddenExtraKeysError
from cattrs.gen import make_dict_structure_fn, override

from fimble_server.errors import SettingsError
from fimble_server.settings import Dial, Settings, iter_dials

__all__ = [
    "SettingsLayer",
    "cache_folder_path",
    "layer_from_editor",
    "load_settings_file",
    "merge_settings",
    "settings_file_path",
]

_Section = TypeVar("_Section")
_SECTION_NAMES = tuple(section.name for section in dataclasses.fields(Settings))


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsLayer:
    """Untyped values and the place they were read from, as a user would name it.

    `lines` maps a dotted path to its line in a file, where there is a file.
    """

    source: str
    values: Mapping[str, object]
    lines: Mapping[str, int] = field(default_factory=dict)


class _RefusedError(Exception):
    """A value of the wrong type or out of range; cattrs adds the path around it."""

    def __init__(self, *, expected: str, value: object) -> None:
        super().__init__(expected)
        self.expected = expected
        self.found = _clipped(repr(value))


def merge_settings(layers: Sequence[SettingsLayer]) -> Settings:
    """One tree from defaults and `layers`, later layers over earlier ones.

    Raises `SettingsError` for the first layer that holds an unknown key or a bad value. Each
    layer is read alone, so that the message can name its source.
    """
    merged: dict[str, dict[str, object]] = {name: {} for name in _SECTION_NAMES}
    for layer in layers:
        _structure(layer)
        for section_name, section in _expanded(layer.values).items():
            merged[section_name].update(cast("Mapping[str, object]", section))
    return _structure(SettingsLayer(source="the merged settings", values=merged))


def layer_from_editor(payload: object, *, source: str) -> SettingsLayer:
    """The layer in an editor's message: `{"fimble": {...}}`, or the sections themselves.

    Some editors send the settings of every server they know. So a payload in which nothing is
    ours, nor nearly ours, is an empty layer and not a mistake.
    """
    if payload is None:
        return SettingsLayer(source=source, values={})
    if not isinstance(payload, Mapping):
        raise _error(source, "", expected="an object of settings", found=_clipped(repr(payload)))
    if "fimble" in payload:
        return layer_from_editor(payload["fimble"], source=source)
    names = [str(name) for name in payload]
    if any(difflib.get_close_matches(name, (*_SECTION_NAMES, *_leaf_names())) for name in names):
        return SettingsLayer(source=source, values=payload)
    return SettingsLayer(source=source, values={})


def load_settings_file(path: Path) -> SettingsLayer:
    """The layer in a TOML file. Raises `SettingsError` with file and line where it is no TOML."""
    try:
        text = path.read_text(encoding="utf-8")
        return SettingsLayer(source=str(path), values=tomllib.loads(text), lines=_toml_lines(text))
    except tomllib.TOMLDecodeError as error:
        raise _error(str(path), "", expected="valid TOML", found=str(error)) from error
    except UnicodeDecodeError as error:
        raise _error(
            str(path), "", expected="UTF-8 text", found=f"byte {error.start} that is not"
        ) from error
    except OSError as error:
        raise _error(
            str(path), "", expected="a readable file", found=error.strerror or "none"
        ) from error


def settings_file_path(environment: Mapping[str, str], home: Path) -> Path:
    """Where a user's settings file is looked for; it need not exist."""
    folder = environment.get("XDG_CONFIG_HOME") or environment.get("APPDATA")
    return Path(folder or home / ".config") / "fimble" / "config.toml"


def cache_folder_path(environment: Mapping[str, str], home: Path) -> Path:
    """The user's folder for what can be made again at any time; it need not exist."""
    folder = environment.get("XDG_CACHE_HOME") or environment.get("LOCALAPPDATA")
    return Path(folder or home / ".cache") / "fimble"


def _structure(layer: SettingsLayer) -> Settings:
    """Read one layer over the defaults."""
    try:
        return _CONVERTER.structure(_expanded(layer.values), Settings)
    except (BaseValidationError, _RefusedError) as error:
        _raise_first(error, layer, path=())


def _expanded(values: Mapping[str, object]) -> dict[str, object]:
    """Spell out the one short form there is: `model = "NAME"` means `model.name`."""
    model = values.get("model")
    return {**values, "model": {"name": model}} if isinstance(model, str) else {**values}


def _raise_first(error: Exception, layer: SettingsLayer, path: tuple[str, ...]) -> NoReturn:
    """Raise the `SettingsError` for the first fault that cattrs gathered under `path`."""
    dotted = ".".join(path)
    line = layer.lines.get(dotted)
    source = layer.source if line is None else f"{layer.source}, line {line}"
    match error:
        case _RefusedError():
            raise _error(source, dotted, expected=error.expected, found=error.found)
        case ForbiddenExtraKeysError():
            unknown = ".".join((*path, sorted(error.extra_fields)[0]))
            line = layer.lines.get(unknown)
            source = layer.source if line is None else f"{layer.source}, line {line}"
            raise SettingsError(
                path=unknown,
                source=source,
                expected="a setting that Fimble has",
                found="an unknown setting",
                to_do=_to_do_for_unknown(unknown),
            )
        case ClassValidationError():
            with_notes, others = error.group_exceptions()
            if with_notes:
                inner, note = with_notes[0]
                _raise_first(inner, layer, (*path, note.name))
            _raise_first(others[0], layer, path)
        case _:
            raise _error(source, dotted, expected="a value of its type", found="another")


def _error(source: str, path: str, *, expected: str, found: str) -> SettingsError:
    to_do = "Correct it; the settings of before stay until then."
    return SettingsError(path=path, source=source, expected=expected, found=found, to_do=to_do)


def _to_do_for_unknown(path: str) -> str:
    """Name the nearest setting: by its whole path, else by its last word."""
    known = [dial_path for dial_path, _, _ in iter_dials()]
    near = difflib.get_close_matches(path, known if "." in path else _SECTION_NAMES, n=1)
    if not near:
        near_leaf = difflib.get_close_matches(path.rpartition(".")[2], _leaf_names(), n=1)
        near = [dial_path for dial_path in known if dial_path.rpartition(".")[2] in near_leaf]
    if near:
        return f"Did you mean {near[0]}?"
    return "Remove it, or see the README for the settings there are."


def _leaf_names() -> tuple[str, ...]:
    return tuple(path.rpartition(".")[2] for path, _, _ in iter_dials())


def _toml_lines(text: str) -> dict[str, int]:
    """The line of every `key = value` and `[section]` that is written the usual way."""
    lines: dict[str, int] = {}
    section = ""
    for line_number, line in enumerate(text.splitlines(), start=1):
        if header := re.match(r"\s*\[([\w.\-]+)\]", line):
            section = header[1]
            lines[section] = line_number
        elif assignment := re.match(r"\s*([\w.\-]+)\s*=", line):
            lines[f"{section}.{assignment[1]}".lstrip(".")] = line_number
    return lines


def _range_sentence(dial: Dial) -> str:
    return dial.form or f"a number {dial.range_words()}"


def _clipped(words: str) -> str:
    return words if len(words) <= 60 else f"{words[:57]}..."


_TYPE_WORDS: Mapping[type, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a string",
}


def _strict(kind: type) -> Callable[[object, object], object]:
    """A reader that takes only `kind`: cattrs itself would turn "3" into 3 and 1 into True."""

    def read(value: object, _: object) -> object:
        is_number = kind is float and isinstance(value, int) and not isinstance(value, bool)
        if is_number or type(value) is kind:
            return kind(value)
        raise _RefusedError(expected=_TYPE_WORDS[kind], value=value)

    return read


def _read_words(value: object, _: object) -> tuple[str, ...]:
    if isinstance(value, list | tuple) and all(isinstance(word, str) for word in value):
        return tuple(value)
    raise _RefusedError(expected="a list of strings", value=value)


def _ranged(
    converter: Converter, setting: dataclasses.Field[object]
) -> Callable[[object, object], object]:
    """A reader of one setting: its type first, then its range."""
    dial = cast("Dial", setting.metadata["dial"])

    def read(value: object, kind: object) -> object:
        structured: object = converter.structure(value, cast("type[object]", kind))
        if dial.allows(structured):
            return structured
        raise _RefusedError(expected=_range_sentence(dial), value=value)

    return read


def _section_reader(
    converter: Converter, section_type: type[_Section]
) -> Callable[[object, object], _Section]:
    """A reader of one level of the tree that refuses unknown keys and what is no object."""
    fields: Iterable[dataclasses.Field[object]] = dataclasses.fields(section_type)  # type: ignore[arg-type]  # called for dataclasses only
    ranged = {
        setting.name: override(struct_hook=_ranged(converter, setting))
        for setting in fields
        if "dial" in setting.metadata
    }
    read_mapping = make_dict_structure_fn(
        section_type,
        converter,
        _cattrs_forbid_extra_keys=True,
        **ranged,  # type: ignore[arg-type]  # the stub names its other options, not this one
    )

    def read(value: object, kind: object) -> _Section:
        if not isinstance(value, Mapping):
            raise _RefusedError(expected="an object of settings", value=value)
        return read_mapping(value, cast("type[_Section]", kind))

    return read


def _build_converter() -> Converter:
    converter = Converter()
    for kind in _TYPE_WORDS:
        converter.register_structure_hook(kind, _strict(kind))
    converter.register_structure_hook_func(lambda kind: kind == tuple[str, ...], _read_words)
    converter.register_structure_hook_factory(
        dataclasses.is_dataclass, lambda section_type: _section_reader(converter, section_type)
    )
    return converter


_CONVERTER = _build_converter()
