"""What speculation saves on real code with one stream: time, with drafts and without."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import cast

import fimble_model
from fimble_eval.engine_speed.options import EngineOptions
from fimble_eval.engine_speed.rows import PartResult, Row
from fimble_eval.engine_speed.speculation_gain import measure_speculation
from fimble_eval.gpu_speed.options import GpuOptions
from fimble_model.gpu_wishes import GpuWishes

__all__ = ["measure_drafts"]


def measure_drafts(options: GpuOptions) -> PartResult:
    """The shipped model over recorded keystrokes of Fimble's own sources, decoding time alone."""
    with tempfile.TemporaryDirectory() as work:
        result = measure_speculation(
            EngineOptions(
                work=Path(work),
                model=fimble_model.default_model_name(),
                large=None,
                n_threads=1,
                llama_python=None,
            ),
            n_files=1 if options.is_rehearsal else 6,
            gpu_wishes=GpuWishes(has_graphs=options.has_graphs),
        )
    with_ms = cast("float", result.details["decode_ms"])
    without_ms = cast("float", result.details["decode_ms_without"])
    row = Row(
        measure="decoding real code with the shipped model, with drafts",
        unit="ms",
        ours=with_ms,
        other=without_ms,
        other_name="without drafts",
        merit=round(without_ms / max(with_ms, 1e-9), 3),
        merit_words="times as fast",
        target=1.8,
        note="random weights copy nothing: only a trained model shows what drafts are worth",
    )
    return PartResult(rows=(row, *result.rows), details=result.details)
