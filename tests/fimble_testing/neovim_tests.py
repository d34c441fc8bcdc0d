"""What the tests in a real Neovim share: the shape of their fixture, and the usual text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from fimble_testing.neovim_child import NeovimChild

__all__ = ["ADD_LINES", "ADD_TEXT", "StartNeovim", "is_served", "trigger_kind"]

ADD_LINES = ("def add(a, b):", '    """Add two numbers."""', "    return a + b")
ADD_TEXT = "\n".join(ADD_LINES)


class StartNeovim(Protocol):
    """Starts a Neovim on a file, with the plugin, and waits until a server serves it."""

    def __call__(
        self,
        *,
        text: str = "",
        name: str = "page.py",
        setup: Mapping[str, object] | None = ...,
        script: Mapping[str, object] | None = None,
        init: str = "init_plugin.lua",
        command: list[str] | None = None,
        maps: str = "",
        n_columns: int = 70,
    ) -> NeovimChild:
        """`setup` None means `vim.lsp.enable` and no setup; `maps` is Vim script run before."""
        ...


def trigger_kind(entry: dict[str, object]) -> object:
    """How an inline completion was asked for: 1 by the user, 2 while typing."""
    match entry["params"]:
        case {"context": {"triggerKind": kind}}:
            return kind
    raise AssertionError("a request without a trigger kind")


def is_served(child: NeovimChild) -> bool:
    """True once a server is attached to the current buffer."""
    return bool(
        child.lua(
            'local client = vim.lsp.get_clients({ bufnr = 0, name = "fimble" })[1]\n'
            "return client ~= nil and client.initialized == true"
            " and vim.lsp.buf_is_attached(0, client.id)"
        )
    )
