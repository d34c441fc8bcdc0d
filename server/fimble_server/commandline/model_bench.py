"""`fimble models bench`: what a keystroke would wait on this machine.

Owns the measuring, the same for a model here and for one at a server.
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from fimble_model.engine.protocol import Engine, Finish, Request, RequestId
from fimble_model.engine.stopping import NeverStop
from fimble_server.model_engine import build_engine
from fimble_server.model_words import describe_model
from fimble_server.settings import ModelSettings

__all__ = ["bench_model"]

_N_TYPED = 24
_N_LINES = 5
_LINE_TOKENS = 16


def bench_model(console: Console, settings: ModelSettings) -> None:
    """Load a model and type with it."""
    with console.status("loading the model"):
        engine = build_engine(settings)
    with console.status("typing"):
        cold_ms, warm_ms, line_ms = _measure(engine)
    console.print(describe_model(engine.model), highlight=False)
    table = Table("measured", "median", box=None, header_style="bold", padding=(0, 2, 0, 0))
    table.add_row("a prompt that is new", f"{cold_ms:.1f} ms")
    table.add_row("a key typed on, first word", f"{warm_ms:.1f} ms")
    table.add_row(f"a line of {_LINE_TOKENS} tokens", f"{line_ms:.1f} ms")
    console.print(table)


def _measure(engine: Engine) -> tuple[float, float, float]:
    text = Path(__file__).read_text(encoding="utf-8")
    # A character is a token at most, so a model of a short context gets a short text.
    n_left = min(1500, engine.model.context_tokens // 2)
    suffix = text[2000 : 2000 + n_left // 4]
    cold = _time(engine, text[:n_left], suffix, 1)
    warm = [_time(engine, text[: n_left + n], suffix, 1) for n in range(1, _N_TYPED)]
    lines = [_time(engine, text[: n_left + 100 + n], suffix, _LINE_TOKENS) for n in range(_N_LINES)]
    return cold, statistics.median(warm), statistics.median(lines)


def _time(engine: Engine, prefix: str, suffix: str, n_tokens: int) -> float:
    prompt = engine.codec.encode_fim(prefix=prefix, suffix=suffix)
    started_s = time.perf_counter()
    engine.add(
        Request(
            request_id=RequestId("bench"),
            prompt=prompt,
            max_new_tokens=n_tokens,
            stop=NeverStop(),
        )
    )
    finish: Finish | None = None
    while finish is None:
        finish = next((delta.finish for delta in engine.step() if delta.finish), None)
    return (time.perf_counter() - started_s) * 1000
