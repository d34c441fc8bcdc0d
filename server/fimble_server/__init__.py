"""The language server: tracks buffers, decides what to suggest, speaks LSP.

Four wings, each below the one before: `lsp` (protocol and threads), `completion` (snapshot in,
suggestions out), `context` (what else to show the model), `document` (text and its syntax).
Importing this package imports neither torch nor the model's code that needs it.
"""

from importlib.metadata import version

__all__ = ["__version__"]

__version__ = version("fimble")
