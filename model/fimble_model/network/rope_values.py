"""What a config.json says of rotary positions, in the words of every time and family.

Owns theta, scaling and the share of a head, at the top level or in `rope_parameters` (since
transformers 5) or `rope_scaling` (before). Never computes a frequency.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from fimble_model.network.architecture import LinearRope, Llama3Rope, RopeScaling, YarnRope
from fimble_model.network.config_values import (
    Values,
    malformed,
    read_count,
    read_flag,
    read_number,
    unsupported,
)

__all__ = ["read_rope_scaling", "read_rope_theta", "read_rotary_share"]

_PLAIN = ("default", "dynamic")
"""Dynamic scaling sets in beyond `max_positions`, and no row of ours is longer than that."""


def read_rope_theta(values: Values, default: float = 10_000.0) -> float:
    """The base of the wave lengths."""
    theta = read_number(values, "rope_theta", default)
    return read_number(_rope_entry(values), "rope_theta", theta)


def read_rotary_share(values: Values, default: float = 1.0) -> float:
    """The share of each head that is turned."""
    share = read_number(values, "partial_rotary_factor", default)
    return read_number(_rope_entry(values), "partial_rotary_factor", share)


def read_rope_scaling(values: Values, max_positions: int) -> RopeScaling | None:
    """How frequencies are changed for long rows; None where they are not.

    Raises `CheckpointError` for kinds that the network does not have.
    """
    entry = _rope_entry(values)
    kind = entry.get("rope_type", entry.get("type", "default"))
    if kind in _PLAIN:
        return None
    if kind == "linear":
        return LinearRope(factor=_factor(entry))
    original = values.get("original_max_position_embeddings")
    if original is None:
        original = read_count(entry, "original_max_position_embeddings", max_positions)
    else:
        original = read_count(values, "original_max_position_embeddings")
    if kind == "llama3":
        return _read_llama3(entry, original)
    if kind == "yarn":
        return _read_yarn(entry, original, max_positions)
    raise unsupported(
        "rotary scaling of type default, dynamic, linear, llama3 or yarn", f"type {kind!r}"
    )


def _read_llama3(entry: Values, original: int) -> Llama3Rope:
    low = read_number(entry, "low_freq_factor")
    high = read_number(entry, "high_freq_factor")
    if not 0 < low < high:
        raise malformed("high_freq_factor", f"above low_freq_factor, {low}, and that above 0", high)
    return Llama3Rope(
        factor=_factor(entry),
        low_frequency_factor=low,
        high_frequency_factor=high,
        original_positions=original,
    )


def _read_yarn(entry: Values, original: int, max_positions: int) -> YarnRope:
    factor = max_positions / original if entry.get("factor") is None else _factor(entry)
    return YarnRope(
        factor=factor,
        original_positions=original,
        attention_factor=_read_attention_factor(entry, factor),
        # Nothing and zero both mean the paper's values.
        beta_fast=read_number(entry, "beta_fast", 32.0) or 32.0,
        beta_slow=read_number(entry, "beta_slow", 1.0) or 1.0,
        truncates=read_flag(entry, "truncate", default=True),
    )


def _read_attention_factor(entry: Values, factor: float) -> float:
    """YaRN, section 3.4: a softer softmax for longer rows, unless the checkpoint states it."""
    if entry.get("attention_factor") is not None:
        return read_number(entry, "attention_factor")
    scale, all_scale = (read_number(entry, name, 0.0) for name in ("mscale", "mscale_all_dim"))
    if scale and all_scale:
        return _temperature(factor, scale) / _temperature(factor, all_scale)
    return _temperature(factor, 1.0)


def _temperature(factor: float, scale: float) -> float:
    return 1.0 if factor <= 1 else 0.1 * scale * math.log(factor) + 1.0


def _factor(entry: Values) -> float:
    factor = read_number(entry, "factor")
    if factor <= 0:
        raise malformed("the factor of rotary scaling", "above 0", factor)
    return factor


def _rope_entry(values: Values) -> Values:
    for name in ("rope_scaling", "rope_parameters"):
        entry = values.get(name)
        if entry is None or entry == {}:
            continue
        if not isinstance(entry, Mapping):
            raise malformed(name, "an object", entry)
        return entry
    return {}
