"""Names of models on a hub: `owner/name`, and `owner/name@revision` for one version of it.

Owns their form. Pure: looks at no disk and asks no hub.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["ModelId", "try_parse_model_id"]

_WORD = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9_-])?"
_FORM = re.compile(rf"(?P<repository>{_WORD}/{_WORD})(?:@(?P<revision>[A-Za-z0-9][\w./-]*))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelId:
    """A repository, and the revision (branch, tag or commit) where one is named."""

    repository: str
    revision: str | None = None

    def __str__(self) -> str:
        return self.repository if self.revision is None else f"{self.repository}@{self.revision}"


def try_parse_model_id(words: str) -> ModelId | None:
    """The id that the words are, if they have its form; a path like `./x/y` or `~/x` has not.

    >>> try_parse_model_id("Qwen/Qwen2.5-Coder-1.5B@main")
    ModelId(repository='Qwen/Qwen2.5-Coder-1.5B', revision='main')
    >>> try_parse_model_id("models/mine/qwen") is None
    True
    """
    found = _FORM.fullmatch(words)
    if found is None or ".." in words or "--" in words:
        return None
    return ModelId(repository=found["repository"], revision=found["revision"])
