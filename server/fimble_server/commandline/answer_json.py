"""An answer as JSON, with the key names that `fimble complete --json` promises.

Owns the names. Ranges are LSP's: lines from 0, characters in UTF-16 units.
"""

from __future__ import annotations

import json

from fimble_server.completion.answer import Answer, Suggestion
from fimble_server.document.buffers import Buffer
from fimble_server.document.positions import PositionUnit

__all__ = ["answer_to_json"]


def answer_to_json(answer: Answer, *, buffer: Buffer, load_ms: float) -> str:
    """The answer to one cursor of `buffer` as one line of JSON."""
    model, tokens, timing = answer.model, answer.tokens, answer.timing
    return json.dumps(
        {
            "mode": answer.plan.mode.value,
            "rule": answer.plan.rule,
            "suggestions": [_suggestion_entry(each, buffer) for each in answer.suggestions],
            "hidden": [
                {"text": each.text, "reason": each.reason, "step": each.step}
                for each in answer.hidden
            ],
            "tokens": {
                "prompt": tokens.prompt,
                "reused": tokens.reused,
                "generated": tokens.generated,
            },
            "timing_ms": {
                "load": round(load_ms, 3),
                "queue": round(timing.queue_ms, 3),
                "prefill": round(timing.prefill_ms, 3),
                "decode": round(timing.decode_ms, 3),
                "total": round(timing.total_ms, 3),
            },
            "model": {"name": model.name, "device": model.device, "dtype": model.dtype}
            if model
            else None,
            "context": [
                {
                    "source": piece.source,
                    "path": piece.path,
                    "tokens": piece.n_tokens,
                    "left_out": piece.left_out.by_name,
                    "where": "memory" if piece.is_remembered else "prompt",
                }
                for piece in answer.context
            ],
            "steps": [{"step": each.step, "effect": each.effect} for each in answer.steps],
        },
        ensure_ascii=False,
    )


def _suggestion_entry(suggestion: Suggestion, buffer: Buffer) -> dict[str, object]:
    return {
        "text": suggestion.text,
        "range": {
            "start": _position_entry(buffer, suggestion.start),
            "end": _position_entry(buffer, suggestion.end),
        },
        "confidence": round(suggestion.confidence, 4),
    }


def _position_entry(buffer: Buffer, offset: int) -> dict[str, int]:
    position = buffer.position_at(offset, PositionUnit.UTF16)
    return {"line": position.line, "character": position.column}
