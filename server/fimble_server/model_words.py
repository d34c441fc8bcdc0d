"""What is said of a model in one line: where it computes, and where text goes.

Owns these words, for the status of an editor and for the terminal. Pure.
"""

from __future__ import annotations

from fimble_model.engine.protocol import BackEnd, ModelInfo

__all__ = ["describe_model", "describe_privacy"]


def describe_model(model: ModelInfo) -> str:
    """Name and place, and what is not as usual: a slower way, a server elsewhere."""
    if model.sends_text_to is not None:
        return f"{model.name}: text goes to {model.sends_text_to}"
    words = f"{model.name} on {model.device} ({model.dtype})"
    if model.back_end is BackEnd.TRANSFORMERS:
        words += ", through transformers: slower"
    return words


def describe_privacy(model: ModelInfo) -> str:
    """Whether text leaves this machine, and for where."""
    if model.sends_text_to is None:
        return "It runs here: none of your text leaves this machine."
    return f"Text around the cursor is sent to {model.sends_text_to}."
