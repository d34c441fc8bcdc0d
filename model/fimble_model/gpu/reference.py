"""The GPU engine's operations in plain torch: what every faster form must compute.

Owns their meaning. Runs on any device, in any type; sums, norms and softmaxes are in float32.
Never waits for the device, so that all of it can be captured in a CUDA graph.

    page   64 slots of keys and of values; slot s of a row lies in page `table[s // 64]`
    N      tokens of all rows; a batch of B rows with T tokens each has N = B * T
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.attention.bias import causal_lower_right

__all__ = [
    "HeadGains",
    "add_norm",
    "attend_paged",
    "attend_prefill",
    "gated",
    "linear8",
    "pick",
    "rotate_and_store",
]


class HeadGains(NamedTuple):
    """The gains of the norms over query heads and over key heads, and their epsilon."""

    query_D: Tensor
    key_D: Tensor
    epsilon: float


def add_norm(
    x_NE: Tensor, residual_NE: Tensor | None, gain_E: Tensor, epsilon: float
) -> tuple[Tensor, Tensor]:
    """The residual stream with `x_NE` added, normed by its root mean square, and itself.

    None for the residual starts the stream with `x_NE`.
    """
    if residual_NE is not None:
        x_NE = x_NE + residual_NE
    return functional.rms_norm(x_NE.float(), gain_E.shape, gain_E.float(), epsilon).to(
        x_NE.dtype
    ), x_NE


def rotate_and_store(
    qkv_ND: Tensor,
    cos_ND: Tensor,
    sin_ND: Tensor,
    head_gains: HeadGains | None,
    keys_PSKD: Tensor,
    values_PSKD: Tensor,
    slots_N: Tensor,
    n_query_heads: int,
    n_key_heads: int,
) -> Tensor:
    """Queries `q_NHD` normed where asked and turned; keys, likewise, and values go to their slots.

    A token's row of `qkv_ND` holds its query heads, its key heads, its value heads. The sines
    carry their sign, as `layers.rotate` wants them. `slots_N` is page * 64 + slot in the page;
    of tokens with the same slot any may be the one that stays.
    """
    n_tokens, head_size = cos_ND.shape
    heads_NHD = qkv_ND.view(n_tokens, -1, head_size)
    q_NHD = heads_NHD[:, :n_query_heads].float()
    k_NKD = heads_NHD[:, n_query_heads : n_query_heads + n_key_heads].float()
    if head_gains is not None:
        size = (head_size,)
        q_NHD = functional.rms_norm(q_NHD, size, head_gains.query_D.float(), head_gains.epsilon)
        k_NKD = functional.rms_norm(k_NKD, size, head_gains.key_D.float(), head_gains.epsilon)
    k_NKD = _turn(k_NKD, cos_ND, sin_ND).to(keys_PSKD.dtype)
    v_NKD = heads_NHD[:, n_query_heads + n_key_heads :].to(values_PSKD.dtype)
    keys_PSKD.view(-1, n_key_heads, head_size).index_copy_(0, slots_N.long(), k_NKD)
    values_PSKD.view(-1, n_key_heads, head_size).index_copy_(0, slots_N.long(), v_NKD)
    return _turn(q_NHD, cos_ND, sin_ND).to(qkv_ND.dtype)


def _turn(x_NHD: Tensor, cos_ND: Tensor, sin_ND: Tensor) -> Tensor:
    half = x_NHD.shape[-1] // 2
    swapped = torch.cat((x_NHD[..., half:], x_NHD[..., :half]), dim=-1)
    return x_NHD * cos_ND[:, None] + swapped * sin_ND[:, None]


def attend_paged(
    q_BTHD: Tensor,
    keys_PSKD: Tensor,
    values_PSKD: Tensor,
    tables_BP: Tensor,
    lengths_B: Tensor,
    scale: float,
) -> Tensor:
    """Outputs `o_BTHD`; token t of row b sees its row's slots [0, lengths_B[b] - T + t + 1).

    `tables_BP` names a row's pages; those past its length are never seen, but must exist and
    hold finite numbers. A token that sees nothing, as in a padding row, gets zeros.
    """
    n_rows, n_tokens, n_query_heads, head_size = q_BTHD.shape
    n_key_heads = keys_PSKD.shape[2]
    tables = tables_BP.long().flatten()
    shape = (n_rows, -1, n_key_heads, head_size)
    k_BSKD = keys_PSKD.index_select(0, tables).view(shape).to(q_BTHD.dtype)
    v_BSKD = values_PSKD.index_select(0, tables).view(shape).to(q_BTHD.dtype)
    slots_S = torch.arange(k_BSKD.shape[1], device=q_BTHD.device)
    tokens_T = torch.arange(n_tokens, device=q_BTHD.device)
    n_seen_BT = lengths_B[:, None] - n_tokens + tokens_T + 1
    mask_BTS = slots_S < n_seen_BT[:, :, None]
    o_BHTD = functional.scaled_dot_product_attention(
        q_BTHD.transpose(1, 2),
        k_BSKD.transpose(1, 2),
        v_BSKD.transpose(1, 2),
        attn_mask=mask_BTS[:, None],
        scale=scale,
        enable_gqa=n_query_heads != n_key_heads,
    )
    o_BTHD = o_BHTD.transpose(1, 2)
    return o_BTHD.where((n_seen_BT > 0)[:, :, None, None], 0.0)


def attend_prefill(q_THD: Tensor, k_SKD: Tensor, v_SKD: Tensor, n_cached: int) -> Tensor:
    """Outputs `o_THD` of one row's new tokens; token t sees slots [0, n_cached + t].

    There are S = n_cached + T slots. On a GPU torch takes its flash kernel where it serves.
    """
    n_tokens, n_slots = q_THD.shape[0], k_SKD.shape[0]
    assert n_slots == n_cached + n_tokens, "slots of the new tokens end the row"
    o_HTD = functional.scaled_dot_product_attention(
        q_THD.transpose(0, 1)[None],
        k_SKD.transpose(0, 1)[None].to(q_THD.dtype),
        v_SKD.transpose(0, 1)[None].to(q_THD.dtype),
        attn_mask=causal_lower_right(n_tokens, n_slots),
        enable_gqa=q_THD.shape[1] != k_SKD.shape[1],
    )[0]
    return o_HTD.transpose(0, 1)


def gated(gate_up_N2F: Tensor) -> Tensor:
    """silu(gate) * up; the gate is the first half of a row, `up` the second."""
    gate_NF, up_NF = gate_up_N2F.float().chunk(2, dim=1)
    return (functional.silu(gate_NF) * up_NF).to(gate_up_N2F.dtype)


def linear8(x_NE: Tensor, weight_OE: Tensor, scale_O: Tensor) -> Tensor:
    """Products `x_NO` with weights in int8 or float8; the inputs keep their type.

    Both types' numbers are exact in the inputs' type, so only the weights are rounded.
    """
    product_NO = functional.linear(x_NE, weight_OE.to(x_NE.dtype))
    return (product_NO * scale_O).to(x_NE.dtype)


def pick(
    logits_NV: Tensor,
    temperatures_N: Tensor,
    top_ps_N: Tensor,
    uniforms_N: Tensor,
    *,
    draws: bool = True,
) -> tuple[Tensor, Tensor]:
    """Each row's next token and its log-probability at temperature 1: int64 and float32.

    Greedy where the temperature is 0, the first of equals. Else top-p (Holtzman et al. 2020,
    section 3.1; of equal probabilities all or none are kept), then the inverse of the cumulated
    probabilities, in the vocabulary's order, at the row's number from [0, 1). Without `draws` all
    are known to be greedy.
    """
    logits_NV = logits_NV.float()
    logprobs_NV = logits_NV.log_softmax(dim=1)
    ids_N = logits_NV.argmax(dim=1)
    if draws:
        drawn_N = _draw(logits_NV, temperatures_N, top_ps_N, uniforms_N, ids_N)
        ids_N = torch.where(temperatures_N > 0, drawn_N, ids_N)
    return ids_N, logprobs_NV.gather(1, ids_N[:, None])[:, 0]


def _draw(
    logits_NV: Tensor,
    temperatures_N: Tensor,
    top_ps_N: Tensor,
    uniforms_N: Tensor,
    greedy_N: Tensor,
) -> Tensor:
    heats_N1 = temperatures_N.float().clamp_min(1e-6)[:, None]
    probabilities_NV = (logits_NV / heats_N1).softmax(dim=1)
    sorted_NV = probabilities_NV.sort(dim=1, descending=True).values
    mass_before_NV = sorted_NV.cumsum(dim=1) - sorted_NV
    is_kept_NV = mass_before_NV < top_ps_N.float()[:, None]
    is_kept_NV[:, 0] = True
    least_N1 = sorted_NV.where(is_kept_NV, torch.inf).amin(dim=1, keepdim=True)
    kept_NV = probabilities_NV.where(probabilities_NV >= least_N1, 0.0)
    cumulated_NV = kept_NV.cumsum(dim=1)
    wanted_N1 = uniforms_N.float()[:, None] * cumulated_NV[:, -1:]
    # Rounding may place the wanted mass past the last kept token: the likeliest stands in.
    is_reached_NV = (cumulated_NV > wanted_N1) & (kept_NV > 0)
    drawn_N = is_reached_NV.to(torch.int8).argmax(dim=1)
    return torch.where(is_reached_NV.any(dim=1), drawn_N, greedy_N)
