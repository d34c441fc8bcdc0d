"""What the model may copy from at a request: the texts around the cursor, by their URIs.

Owns the choice of texts and the door that no secret file passes. Pure and cheap: nothing is
tokenized here; the texts are handed on as they are, and whoever owns the engine feeds it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import unquote

from fimble_model.engine.memory_index import LOWER_PART
from fimble_model.engine.protocol import Engine
from fimble_server.completion.page import Page, with_line_feeds
from fimble_server.completion.snapshot import Snapshot
from fimble_server.context.secret_files import find_secrecy_of_uri

__all__ = ["ProjectText", "ProjectTexts", "feed", "gather_texts", "try_text"]


class ProjectText(NamedTuple):
    """A document's key and its text with line feeds."""

    key: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectTexts:
    """The texts of one scope, the one that matters most last. `key` is the document at hand."""

    scope: str
    key: str | None = None
    texts: tuple[ProjectText, ...] = field(repr=False)


def gather_texts(snapshot: Snapshot, page: Page) -> ProjectTexts | None:
    """The neighbours, then the text below and above the cursor's line; None without a scope.

    The line itself is left out, so that typing on it changes nothing in the memory. The two
    parts are two documents: what stands below is not what follows the line above.
    """
    if snapshot.memory_scope is None:
        return None
    line_start = page.text.rfind("\n", 0, page.cursor) + 1
    others = () if "open-files" in snapshot.without_sources else snapshot.neighbours
    found = [(buffer.uri, buffer.text, "") for buffer in others]
    found.append((snapshot.buffer.uri, page.text[:line_start], page.text[page.line_end + 1 :]))
    texts: list[ProjectText] = []
    for uri, above, below in found:
        text = try_text(uri, above)
        if text is not None:
            texts += (ProjectText(text.key + LOWER_PART, below), text)
    key = unquote(snapshot.buffer.uri)
    return ProjectTexts(scope=snapshot.memory_scope, key=key, texts=tuple(texts))


def try_text(uri: str, text: str) -> ProjectText | None:
    """A document for the memory; None for a file whose name says that it holds secrets."""
    if find_secrecy_of_uri(uri) is not None:
        return None
    return ProjectText(unquote(uri), text)


def feed(engine: Engine, texts: ProjectTexts) -> None:
    """Hand the texts to an engine, with line feeds as models know them.

    Call it where the engine runs: it reads every text and tokenizes what is new.
    """
    for key, text in texts.texts:
        engine.remember(texts.scope, key, with_line_feeds(text))
