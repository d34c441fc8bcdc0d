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
from fimble_server.settings_layers import SettingsLayer
from fimble_testing.fake_engine import FakeEngine, Prompted

__all__ = ["PATIENCE", "SENTENCE", "write_sentence"]

SENTENCE = "the quick brown fox"
# What is tested is what comes, not how soon: a machine under load must not cut it short.
PATIENCE = SettingsLayer(
    source="the test",
    values={
        "completion": {"acceleration_deadline_ms": 10_000.0, "exploration_deadline_ms": 60_000.0}
    },
)


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
    sys.exit(serve(layers=(PATIENCE,), listen=listen, load=_load))
