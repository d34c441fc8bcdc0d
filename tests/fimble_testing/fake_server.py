"""A whole server process whose model is scripted: `python -m fimble_testing.fake_server`.

It writes the rest of `the quick brown fox` wherever the line's end begins it, and makes noise
on standard output while it loads, as libraries do.
"""

from __future__ import annotations

import os
import sys

from fimble_model.engine.protocol import Engine
from fimble_server.cli_serve import serve
from fimble_server.lsp.engine_runner import ReportProgress
from fimble_server.settings import ModelSettings
from fimble_testing.fake_engine import FakeEngine, Prompted

__all__ = ["SENTENCE", "write_sentence"]

SENTENCE = "the quick brown fox"


def write_sentence(prompted: Prompted) -> str:
    """The rest of the sentence that the prompt begins."""
    line = prompted.prefix.rpartition("\n")[2]
    begun = max(
        (n_chars for n_chars in range(len(SENTENCE)) if line.endswith(SENTENCE[:n_chars])),
        default=0,
    )
    return SENTENCE[begun:] if begun else ""


def _load(settings: ModelSettings, report: ReportProgress) -> Engine:
    sys.stdout.write("noise through the stream\n")
    sys.stdout.flush()
    os.write(1, b"noise through the descriptor\n")
    return FakeEngine(write_sentence)


if __name__ == "__main__":
    listen = sys.argv[sys.argv.index("--listen") + 1] if "--listen" in sys.argv else None
    sys.exit(serve(listen=listen, load=_load))
