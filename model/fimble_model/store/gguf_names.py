"""Which of a repository's GGUF files a name means.

Owns that choice. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from fimble_model.errors import HubError
from fimble_model.store.model_ids import ModelId

__all__ = ["choose_gguf", "is_gguf"]

_PIECE = re.compile(r"-\d{5}-of-\d{5}\.gguf$", re.IGNORECASE)


def is_gguf(name: str) -> bool:
    """True for the name of a GGUF file that lies at the top of its folder."""
    return name.lower().endswith(".gguf") and "/" not in name


def choose_gguf(names: Sequence[str], model_id: ModelId) -> str:
    """The file that is named, whole or by its quantisation; the only one where none is.

    Raises `HubError` where none fits, or several do.
    """
    here = sorted(filter(is_gguf, names))
    wanted = model_id.file
    found = [name for name in here if wanted is None or name == wanted]
    if not found and wanted is not None:
        tag = re.compile(rf"(?<![A-Za-z0-9]){re.escape(wanted)}(?![A-Za-z0-9_])", re.IGNORECASE)
        found = [name for name in here if tag.search(name.removesuffix(".gguf"))]
    if len(found) == 1 and not _PIECE.search(found[0]):
        return found[0]
    if found and all(map(_PIECE.search, found)):
        raise HubError(
            expected="a model in one GGUF file",
            found=f"one in {len(found)} pieces",
            to_do="Choose another quantisation, or the model's safetensors.",
        )
    stated = f"{wanted!r}" if wanted is not None else "no name"
    raise HubError(
        expected=f"the name of one GGUF file of {model_id.repository}",
        found=f"{stated}, and {', '.join(here) or 'no GGUF there'}",
        to_do=f"Name one, like {model_id.repository}:{here[0]}." if here else "Check the name.",
    )
