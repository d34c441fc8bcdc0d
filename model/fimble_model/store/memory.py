"""Whether a model would fit into this machine's memory, said before it is fetched.

Owns that refusal, by the sizes that the hub tells. What is free right now it does not ask: that
changes until the model is loaded, and loading looks at it again.
"""

from __future__ import annotations

import os
import shutil
import subprocess

from fimble_model.errors import HubError
from fimble_model.store.prospects import Prospect, count_weights, foresee
from fimble_model.store.remote import Remote, try_read_config

__all__ = ["refuse_larger_than_memory", "total_memory_bytes"]

_ASK_CARD = ("nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits")
_CARD_TIMEOUT_S = 10
_MOST_BYTES_PER_WEIGHT = 4


def total_memory_bytes() -> int | None:
    """All memory of this machine; None where the system does not tell."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def refuse_larger_than_memory(
    remote: Remote, total_bytes: int | None = None, endpoint: str | None = None
) -> None:
    """Raise `HubError` for a model whose weights alone are more than this machine can hold.

    A card's memory counts where there is one. `total_bytes` is for tests.
    """
    total_bytes = total_memory_bytes() if total_bytes is None else total_bytes
    n_parameters = count_weights(remote)
    if total_bytes is None or n_parameters * _MOST_BYTES_PER_WEIGHT < total_bytes:
        return
    config = None if remote.gguf else try_read_config(remote, endpoint)
    prospect = foresee(config, n_parameters)
    if prospect.weight_bytes < max(total_bytes, _card_bytes()):
        return
    raise HubError(
        expected=f"a model that fits into {_gib(total_bytes)} of memory",
        found=f"{remote.repository}, whose weights alone take {_describe(prospect)}",
        to_do="Choose a smaller one: `fimble models` lists some. To fetch it all the same, for "
        f"another machine: fimble models pull --anyway {remote.repository}.",
    )


def _describe(prospect: Prospect) -> str:
    how = "in int8" if prospect.is_native else "in float32, through transformers"
    return f"{_gib(prospect.weight_bytes)} {how}"


def _card_bytes() -> int:
    """Memory of the largest NVIDIA card; 0 where there is none, or it does not tell."""
    if shutil.which(_ASK_CARD[0]) is None:
        return 0
    try:
        asked = subprocess.run(  # Its words are constants.
            _ASK_CARD, capture_output=True, text=True, timeout=_CARD_TIMEOUT_S, check=True
        )
        return max((int(line) for line in asked.stdout.split()), default=0) * 2**20
    except (OSError, ValueError, subprocess.SubprocessError):
        return 0


def _gib(n_bytes: int) -> str:
    return f"{n_bytes / 2**30:.1f} GiB"
