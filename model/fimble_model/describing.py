"""What a model that is on this machine is, told from its small files alone.

Owns that reading. Imports no torch, and runs nothing that the model brings.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fimble_model.errors import CheckpointError
from fimble_model.finding import FoundModel
from fimble_model.model_statements import (
    Stated,
    bytes_per_stored_number,
    load_text,
    read_config,
)
from fimble_model.store.cache import licence_in
from fimble_model.store.prospects import Prospect, foresee

__all__ = ["Description", "describe"]

_CONTEXT_NAMES = ("max_position_embeddings", "n_positions", "max_sequence_length")


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """A model's files in a few facts. `form` is how its weights are stored.

    `fim_family` is None where nothing states it; `refusal` then says what would.
    """

    n_bytes: int
    form: str
    prospect: Prospect
    context_tokens: int | None
    licence: str | None
    fim_family: str | None
    refusal: str | None


def describe(found: FoundModel, stated: Stated) -> Description:
    """What the files say. Raises `CheckpointError` where config.json cannot be read."""
    config = read_config(found.folder)
    n_bytes, n_weights, form = _weigh(found.folder, bytes_per_stored_number(config))
    contexts = [config.get(name) for name in _CONTEXT_NAMES]
    family, refusal = None, None
    try:
        family = load_text(found, config, stated)[1].family
    except CheckpointError as error:
        refusal = str(error)
    return Description(
        n_bytes=n_bytes,
        form=form,
        prospect=foresee(config, n_weights),
        context_tokens=next((each for each in contexts if isinstance(each, int)), None),
        licence=licence_in(found.folder),
        fim_family=family,
        refusal=refusal,
    )


def _weigh(place: Path, n_bytes_a_weight: int) -> tuple[int, int, str]:
    """Bytes, weights as far as bytes tell, and the form that they are kept in."""
    if place.is_file():
        from fimble_model.gguf_file.header import read_header

        header = read_header(place)
        kinds = ", ".join(header.kind_names())
        return place.stat().st_size, header.n_parameters, f"GGUF ({kinds})"
    weights = [path for path in place.glob("*.safetensors") if path.is_file()]
    n_bytes = sum(path.stat().st_size for path in weights)
    form = f"safetensors in {len(weights)} files" if len(weights) != 1 else "safetensors"
    return n_bytes, n_bytes // n_bytes_a_weight, form
