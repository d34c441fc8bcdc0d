"""What a model's own files say of it, and what its user says besides, read before torch is needed.

Owns config.json as loading needs it, and the way from there to the tokenizer and the format of
prompts. Knows no network.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fimble_model.errors import CheckpointError
from fimble_model.finding import FoundModel

if TYPE_CHECKING:
    from fimble_model.text.fim_format import FimFormat
    from fimble_model.text.tokenizer import Tokenizer

__all__ = ["Stated", "bytes_per_stored_number", "load_text", "read_config", "states"]

_OUR_FAMILY = "fimble"
_HALVES = ("float16", "bfloat16")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stated:
    """What a user says of a model that its files do not tell.

    Family and order of its fill-in-the-middle format; and the names of the models whose own
    Python code may be run.
    """

    fim_family: str | None = None
    fim_order: str | None = None
    runs_code_of: Collection[str] = ()


def read_config(folder: Path) -> Mapping[str, object]:
    """The object in a folder's config.json. Raises `CheckpointError`."""
    if folder.is_file():
        from fimble_model.gguf_file.configs import build_config
        from fimble_model.gguf_file.header import read_header

        return build_config(read_header(folder))
    path = folder / "config.json"
    try:
        values: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(
            expected="a readable config.json in the model's folder",
            found=f"{getattr(error, 'strerror', None) or 'no valid JSON'} at {path}",
            to_do="Name a folder with config.json, tokenizer.json and model.safetensors.",
        ) from error
    if not isinstance(values, dict):
        raise CheckpointError(
            expected="an object in config.json",
            found=f"{type(values).__name__}",
            to_do="Fetch or export the model again.",
        )
    return values


def load_text(
    found: FoundModel, values: Mapping[str, object], stated: Stated
) -> tuple[Tokenizer, FimFormat]:
    """The tokenizer, and how a prompt is laid out. Raises `CheckpointError`."""
    from fimble_model.text.fim_matching import find_fim_format
    from fimble_model.text.tokenizer import load_tokenizer
    from fimble_model.text.vocabulary import refuse_larger

    tokenizer = load_tokenizer(found.folder)
    if isinstance(vocabulary_size := values.get("vocab_size"), int):
        # One that config.json states elsewhere is met when the network is there.
        refuse_larger(tokenizer, vocabulary_size)
    stated_family, stated_orders = _read_statement(values)
    if stated.fim_family is not None:
        stated_family, stated_orders = stated.fim_family, ()
    if stated.fim_order is not None:
        stated_orders = (stated.fim_order,)
    fim_format = find_fim_format(
        model_type=str(values.get("model_type")),
        control_strings=tokenizer.control_ids.keys(),
        repository=_repository_of(found),
        stated_family=stated_family,
        stated_orders=stated_orders,
    )
    if found.folder.is_file():
        _refuse_other_tokens(found.folder, fim_format)
    if stated_family == _OUR_FAMILY and not states(values, "repository_context"):
        fim_format = dataclasses.replace(fim_format, files=None)
    return tokenizer, fim_format


def _repository_of(found: FoundModel) -> str | None:
    """The hub's name; a GGUF file says itself what it was made from, whoever publishes it."""
    if not found.folder.is_file():
        return found.repository
    from fimble_model.gguf_file.header import read_header
    from fimble_model.gguf_file.vocabulary import find_repository

    return find_repository(read_header(found.folder)) or found.repository


def _refuse_other_tokens(path: Path, fim_format: FimFormat) -> None:
    """Refuse a GGUF file whose metadata names tokens that are not those of the format."""
    from fimble_model.gguf_file.header import read_header
    from fimble_model.gguf_file.vocabulary import find_fim_tokens

    stated = find_fim_tokens(read_header(path))
    of_format = {each for layout in fim_format.layouts.values() for each in layout}
    if others := sorted(set(stated) - of_format):
        raise CheckpointError(
            expected=f"the tokens of the {fim_format.family} format in {path.name}",
            found=f"that it fills in the middle with {', '.join(others)}",
            to_do="State the format that its makers document in the setting model.fim_family.",
        )


def states(values: Mapping[str, object], name: str) -> bool:
    """Whether a model of ours says something of itself.

    "repository_context": it was trained with other files in its prompt. "untrained": it knows
    nothing yet, and is there to try the machinery with.
    """
    statement = values.get("fimble")
    return isinstance(statement, Mapping) and statement.get(name) is True


def _read_statement(values: Mapping[str, object]) -> tuple[str | None, tuple[str, ...]]:
    """Family and orders that config.json states in its entry `fimble`."""
    statement: Any = values.get("fimble", {})
    try:
        family, orders = statement.get("fim_family"), tuple(statement.get("fim_orders", ()))
        is_sound = all(isinstance(name, str) for name in (family or "", *orders))
    except (AttributeError, TypeError):
        is_sound = False
    if not is_sound:
        raise CheckpointError(
            expected='"fimble": {"fim_family": NAME, "fim_orders": [NAME, ...]} in config.json',
            found="an entry of another shape",
            to_do="Mend the entry, or export the model again.",
        )
    return family, orders


def bytes_per_stored_number(values: Mapping[str, object]) -> int:
    """Of a weight as it is stored: 2 where config.json says so, else 4."""
    return 2 if values.get("dtype", values.get("torch_dtype")) in _HALVES else 4
