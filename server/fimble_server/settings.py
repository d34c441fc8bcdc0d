"""The user's dials: one frozen tree, with the default, range, unit and sentence of each.

Owns the tree, its reading from untyped values, and the table made from it. Never reads the
environment or a clock, and knows neither LSP nor where its values come from: see
`settings_layers` for files and editors.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeVar

import fimble_model
from fimble_server.completion.plan import Length, Limits
from fimble_server.context.sources import SOURCE_NAMES, Sources

__all__ = [
    "CompletionSettings",
    "ContextSettings",
    "Dial",
    "ModelSettings",
    "ServerSettings",
    "Settings",
    "iter_dials",
    "limits_from",
    "settings_table_markdown",
    "sources_without",
]

_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True, kw_only=True)
class Dial:
    """What is known of one setting besides its type and default.

    `least` and `most` bound numbers, both included. `pattern` bounds words; `form` says that
    pattern in words a user can read.
    """

    doc: str
    least: float | None = None
    most: float | None = None
    pattern: str | None = None
    form: str = ""

    def allows(self, value: object) -> bool:
        """True where a value of the right type is also in range."""
        if isinstance(value, str):
            return self.pattern is None or re.fullmatch(self.pattern, value) is not None
        if isinstance(value, int | float) and not isinstance(value, bool):
            return (self.least is None or value >= self.least) and (
                self.most is None or value <= self.most
            )
        return True

    def range_words(self) -> str:
        """The range as a user reads it; empty where every value of the type will do."""
        if self.least is not None and self.most is not None:
            return f"from {self.least:g} to {self.most:g}"
        return self.form


def _dial(default: _Value, dial: Dial) -> _Value:
    """A dataclass field that carries its dial."""
    made: _Value = field(default=default, metadata={"dial": dial})
    return made


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSettings:
    """Which model runs, and on what."""

    name: str = _dial(
        fimble_model.default_model_name(),
        Dial(
            doc="A model that ships with Fimble, a hub's `owner/name`, or the path of a folder "
            "that holds one.",
            pattern=r"\S(.*\S)?",
            form="a name or a folder",
        ),
    )
    fim_family: str | None = _dial(
        None,
        Dial(
            doc="The model's fill-in-the-middle format, for a model that does not tell: "
            "`qwen2.5-coder`, `starcoder`, ...",
            pattern=r"[a-z0-9][a-z0-9._-]*",
            form="the name of a format",
        ),
    )
    fim_order: str | None = _dial(
        None,
        Dial(
            doc="Whether the model was trained to see what precedes the cursor first (`psm`) or "
            "what follows it (`spm`), for a model that does not tell.",
            pattern="psm|spm",
            form="`psm` or `spm`",
        ),
    )
    remote_code: tuple[str, ...] = _dial(
        (),
        Dial(
            doc="Models, by the very name in `model.name`, whose own Python code may run here. "
            "That code can do all that you can."
        ),
    )
    endpoint: str | None = _dial(
        None,
        Dial(
            doc="An OpenAI-compatible server that completes instead of this machine: what stands "
            "before `/completions`. Text around the cursor is then sent there.",
            pattern=r"https?://[^\s/]+(/\S*)?",
            form="an address like `http://127.0.0.1:8000/v1`",
        ),
    )
    endpoint_fim: str = _dial(
        "raw",
        Dial(
            doc="Who writes the fill-in-the-middle prompt for `model.endpoint`: Fimble, as "
            "`model.fim_family` says (`raw`), or that server (`suffix`).",
            pattern="raw|suffix",
            form="`raw` or `suffix`",
        ),
    )
    endpoint_key_variable: str | None = _dial(
        None,
        Dial(
            doc="The environment variable that holds the key for `model.endpoint`; left out, the "
            "system's key store is asked (`fimble[keyring]`).",
            pattern=r"[A-Za-z_]\w*",
            form="the name of an environment variable",
        ),
    )
    endpoint_timeout_s: float = _dial(
        30.0,
        Dial(doc="Longest silence of `model.endpoint`.", least=1, most=600),
    )
    endpoint_parameters: tuple[str, ...] = _dial(
        (),
        Dial(
            doc="More that every request to `model.endpoint` says, each as `name=value` with the "
            "value in JSON, like `top_k=40`; `null` takes out what Fimble would say."
        ),
    )
    device: str = _dial(
        "auto",
        Dial(
            doc="Where the model runs; `auto` takes a GPU when there is one.",
            pattern=r"auto|cpu|cuda(:\d+)?",
            form="`auto`, `cpu`, `cuda` or `cuda:N`",
        ),
    )
    dtype: str = _dial(
        "auto",
        Dial(
            doc="The numbers the model computes in; `auto` is the fastest the device does well.",
            pattern="auto|int8|fp8|float32|bfloat16",
            form="`auto`, `int8`, `fp8`, `float32` or `bfloat16`",
        ),
    )
    n_threads: int | None = _dial(
        None,
        Dial(doc="CPU threads of the model; left out, Fimble chooses.", least=1, most=256),
    )
    cache_mib: int | None = _dial(
        None,
        Dial(
            doc="Most MiB kept of texts that were read, so that they need not be read again; left "
            "out, room for some 16 files, from 32 to 256 MiB by the model's size.",
            least=16,
            most=65_536,
        ),
    )
    memory_mib: int | None = _dial(
        None,
        Dial(
            doc="Most MiB of weights, texts that were read and the project's index together; left "
            "out, no cap. Python and torch take some 300 MiB besides.",
            least=16,
            most=1_048_576,
        ),
    )
    gpu_cache_share: float = _dial(
        0.4,
        Dial(
            doc="The share of a GPU's memory left free by the weights that texts that were read "
            "may take.",
            least=0.01,
            most=1,
        ),
    )
    gpu_graphs: bool = _dial(
        True,
        Dial(
            doc="Decode in CUDA graphs on a GPU; without them it starts sooner and writes more "
            "slowly."
        ),
    )
    unload_after_idle_s: float = _dial(
        900.0,
        Dial(
            doc="Seconds without a request after which the model's memory is given back; "
            "the next request loads it again.",
            least=1,
            most=604_800,
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletionSettings:
    """When Fimble suggests, how much, and how long it may take."""

    enabled: bool = _dial(True, Dial(doc="Suggest at all."))
    menu: bool = _dial(
        True, Dial(doc="Announce suggestions for completion menus too; read when an editor starts.")
    )
    eagerness: float = _dial(
        0.5,
        Dial(
            doc="0 suggests only when nearly certain, 1 always suggests something.", least=0, most=1
        ),
    )
    length: str = _dial(
        "function",
        Dial(
            doc="The most a suggestion may be: a line, some lines of a block, or a whole body.",
            pattern="line|block|function",
            form="`line`, `block` or `function`",
        ),
    )
    max_acceleration_lines: int = _dial(
        4, Dial(doc="Most lines suggested while you type.", least=1, most=50)
    )
    max_exploration_lines: int = _dial(
        30,
        Dial(doc="Most lines suggested for an empty body or on request.", least=1, most=200),
    )
    acceleration_deadline_ms: float = _dial(
        400.0, Dial(doc="Longest wait for a suggestion while you type.", least=10, most=10_000)
    )
    exploration_deadline_ms: float = _dial(
        3000.0, Dial(doc="Longest wait for a suggestion on request.", least=10, most=60_000)
    )
    disabled_languages: tuple[str, ...] = _dial(
        (), Dial(doc="LSP language identifiers in which Fimble stays silent, like `markdown`.")
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextSettings:
    """What besides the file at hand the model may copy from."""

    open_files: bool = _dial(True, Dial(doc="Copy from the other files that are open."))
    project: bool = _dial(
        True,
        Dial(
            doc="Copy from the project's files, which are read in the background; never from what "
            "`.gitignore` or `.fimbleignore` names, nor from files of secrets."
        ),
    )
    pieces: bool = _dial(
        True,
        Dial(doc="Show pieces of the project to a model that was trained to be shown such."),
    )
    similar: bool = _dial(True, Dial(doc="Of these pieces: text like that at the cursor."))
    definitions: bool = _dial(True, Dial(doc="Of these: definitions of what is used there."))
    diagnostics: bool = _dial(
        True, Dial(doc="Of these: definitions of what your editor's diagnostics there speak of.")
    )
    recent_edits: bool = _dial(
        True, Dial(doc="Of these: what you edited lately, as it stands there now.")
    )
    viewed_files: bool = _dial(True, Dial(doc="Of these: the files that you looked at lately."))
    secret_files: tuple[str, ...] = _dial(
        (),
        Dial(
            doc="More names of files that hold secrets, like `*.vault` or `private/*`: never read, "
            "never copied from. The names that Fimble knows hold in any case."
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """How the process behaves."""

    log_level: str = _dial(
        "info",
        Dial(
            doc="How much is written to the log (standard error).",
            pattern="debug|info|warning|error",
            form="`debug`, `info`, `warning` or `error`",
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All dials. Made anew at every change, passed as an argument, never changed in place."""

    model: ModelSettings = field(default_factory=ModelSettings)
    completion: CompletionSettings = field(default_factory=CompletionSettings)
    context: ContextSettings = field(default_factory=ContextSettings)
    server: ServerSettings = field(default_factory=ServerSettings)


def limits_from(settings: CompletionSettings) -> Limits:
    """The dials that bound a plan."""
    return Limits(
        eagerness=settings.eagerness,
        length=Length(settings.length),
        max_acceleration_lines=settings.max_acceleration_lines,
        acceleration_deadline_ms=settings.acceleration_deadline_ms,
        max_exploration_lines=settings.max_exploration_lines,
        exploration_deadline_ms=settings.exploration_deadline_ms,
    )


def sources_without(settings: ContextSettings) -> Sources:
    """The sources that are turned off, by their names."""
    is_on = {
        "open-files": settings.open_files,
        "project": settings.project,
        "similar": settings.similar,
        "definitions": settings.definitions,
        "diagnostics": settings.diagnostics,
        "recent-edits": settings.recent_edits,
        "viewed-files": settings.viewed_files,
    }
    assert is_on.keys() == set(SOURCE_NAMES), "a dial for every source"
    return frozenset(name for name, is_wanted in is_on.items() if not is_wanted)


def iter_dials() -> Iterator[tuple[str, dataclasses.Field[object], Dial]]:
    """Every setting in the order of the tree: dotted path, field, dial."""
    for section in dataclasses.fields(Settings):
        for setting in dataclasses.fields(getattr(Settings(), section.name)):
            yield f"{section.name}.{setting.name}", setting, setting.metadata["dial"]


def settings_table_markdown() -> str:
    """The README's table of settings: path, default, range, sentence."""
    rows = [
        f"| `{path}` | {_default_words(setting.default)} | {dial.range_words()} | {dial.doc} |"
        for path, setting, dial in iter_dials()
    ]
    return "\n".join(["| setting | default | range | what it does |", "|---|---|---|---|", *rows])


def _default_words(value: object) -> str:
    """A default as it would be written in TOML, or a word where TOML has none."""
    match value:
        case None:
            return "chosen"
        case bool():
            return f"`{str(value).lower()}`"
        case tuple():
            return f"`[{', '.join(value)}]`"
        case str():
            return f'`"{value}"`'
        case _:
            return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"
