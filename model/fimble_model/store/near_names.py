"""Which model a mistyped name may mean.

Owns that guess, over what ships, what is on this machine and what the catalogue knows. Asks no hub.
"""

from __future__ import annotations

import difflib

from fimble_model.shipped import shipped_models
from fimble_model.store.cache import cached_models
from fimble_model.store.catalogue import CATALOGUE

__all__ = ["suggest"]

_LEAST_LIKENESS = 0.7


def suggest(name: str) -> str | None:
    """The nearest name that is known, if one is near; the owner may have been left out."""
    known = {
        *(model.name for model in shipped_models()),
        *(model.repository for model in cached_models()),
        *(model.repository for model in CATALOGUE),
    }
    plain = name.partition("@")[0].partition(":")[0].lower()
    written = {each.lower(): each for each in known}
    written |= {each.rpartition("/")[2].lower(): each for each in known}
    near = difflib.get_close_matches(plain, written, n=1, cutoff=_LEAST_LIKENESS)
    found = written[near[0]] if near else None
    return None if found is None or found.lower() == plain else found
