"""Names of models on a hub: `owner/name`, `@revision` for one version, `:file` for one GGUF.

Owns their form. Pure: looks at no disk and asks no hub.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["ModelId", "try_parse_model_id"]

_WORD = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9_-])?"
_FORM = re.compile(
    rf"(?P<repository>{_WORD}/{_WORD})(?:@(?P<revision>[A-Za-z0-9][\w./-]*))?"
    r"(?::(?P<file>[A-Za-z0-9][\w.+-]*))?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelId:
    """A repository; the revision (branch, tag or commit) and the GGUF file where one is named.

    `file` may also be what sets one file apart from the others, like `Q8_0`.
    """

    repository: str
    revision: str | None = None
    file: str | None = None

    def __str__(self) -> str:
        revision = "" if self.revision is None else f"@{self.revision}"
        return f"{self.repository}{revision}" + ("" if self.file is None else f":{self.file}")


def try_parse_model_id(words: str) -> ModelId | None:
    """The id that the words are, if they have its form; a path like `./x/y` or `~/x` has not.

    >>> try_parse_model_id("Qwen/Qwen2.5-Coder-1.5B@main")
    ModelId(repository='Qwen/Qwen2.5-Coder-1.5B', revision='main', file=None)
    >>> str(try_parse_model_id("Qwen/Qwen2.5-Coder-1.5B-GGUF:Q8_0"))
    'Qwen/Qwen2.5-Coder-1.5B-GGUF:Q8_0'
    >>> try_parse_model_id("models/mine/qwen") is None
    True
    """
    found = _FORM.fullmatch(words)
    if found is None or ".." in words or "--" in words:
        return None
    return ModelId(repository=found["repository"], revision=found["revision"], file=found["file"])
