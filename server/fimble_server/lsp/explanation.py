"""Why the last request of a file ended as it did, as the answer to `fimble/explain`.

Owns the names in that answer. It holds no text but the suggestions' own, shown or hidden: the
client asked for exactly those.
"""

from __future__ import annotations

from fimble_server.completion.answer import Answer, ContextPiece

__all__ = ["explain_answer"]


def explain_answer(answer: Answer, *, n_shown: int) -> dict[str, object]:
    """One answer, JSON-ready. `n_shown` of its suggestions still fitted when it was ready."""
    plan, tokens, timing, model = answer.plan, answer.tokens, answer.timing, answer.model
    return {
        "mode": plan.mode.value,
        "rule": plan.rule,
        "wanted": plan.wanted,
        "source": answer.source,
        "plan": {
            "max_lines": plan.max_lines,
            "max_new_tokens": plan.max_new_tokens,
            "n_candidates": plan.n_candidates,
            "deadline_ms": plan.deadline_ms,
            "min_confidence": round(plan.min_confidence, 4),
        },
        "suggestions": [
            {"text": suggestion.text, "confidence": round(suggestion.confidence, 4)}
            for suggestion in answer.suggestions
        ],
        "n_shown": n_shown,
        "hidden": [
            {"text": hidden.text, "reason": hidden.reason, "step": hidden.step}
            for hidden in answer.hidden
        ],
        "steps": [{"step": note.step, "effect": note.effect} for note in answer.steps],
        "tokens": {
            "prompt": tokens.prompt,
            "reused": tokens.reused,
            "generated": tokens.generated,
            "drafted": tokens.drafted,
            "accepted": tokens.accepted,
        },
        "timing_ms": {
            "queue": round(timing.queue_ms, 3),
            "prefill": round(timing.prefill_ms, 3),
            "decode": round(timing.decode_ms, 3),
            "total": round(timing.total_ms, 3),
        },
        "model": None
        if model is None
        else {"name": model.name, "device": model.device, "dtype": model.dtype},
        "context": [_piece_entry(piece) for piece in answer.context],
    }


def _piece_entry(piece: ContextPiece) -> dict[str, object]:
    return {
        "source": piece.source,
        "path": piece.path,
        "tokens": piece.n_tokens,
        "left_out": piece.left_out.by_name,
        "where": "memory" if piece.is_remembered else "prompt",
    }
