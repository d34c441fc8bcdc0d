"""How much the memory's word weighs beside the network's, and the two made one distribution.

Owns the rule of confidence and its measured numbers. Pure; knows neither documents nor rows.

A nested cache (after Hellendoorn and Devanbu 2017, section 4): what the network says is the
base, and each order of context, from short to long, takes its share of what the shorter ones
left. What stood in the row's own document counts more than what stood in its folder, and that
more than the rest. The share of an order grows with how often the context was seen, and falls
with how often it went on in another way and with how sure the network is by itself. Where a
middle ends is the network's word alone, as no document says it.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fimble_model.engine.memory_index import LEAST_ORDER, MOST_ORDER, Matches
from fimble_model.network.native.memory import Found, build_rule, try_blend

__all__ = ["blend"]

# Fitted by LBFGS on 19,944 tokens of middles in five packages that the model never saw, with and
# without the text below the cursor. Fitted on four packages and tried on the fifth, all five in
# turn: 0.680 bits a character; the network alone 0.986; shares by count and uniqueness alone,
# without the levels and the network's sureness, 0.688.
_WEIGHT_OF_LEVEL = np.exp([0.178, 1.072, 1.813])
_LEAST_SHARE = np.array([1.302, -1.364, -0.718, -0.203, -0.401, -0.221]) - 1.605  # longest first
_BY_WEIGHT, _BY_RIVAL_SHARE, _BY_RIVALS, _BY_SURENESS = 0.761, -1.422, -0.535, -1.403

_RULE = build_rule(
    weight_of_level=_WEIGHT_OF_LEVEL.tolist(),
    least_share=_LEAST_SHARE.tolist(),
    by_weight=_BY_WEIGHT,
    by_rival_share=_BY_RIVAL_SHARE,
    by_rivals=_BY_RIVALS,
    by_sureness=_BY_SURENESS,
)

_N_ORDERS = MOST_ORDER - LEAST_ORDER + 1


def blend(
    logprobs_V: Tensor,
    matches: Matches,
    control_ids: NDArray[np.int64],
    *,
    may_be_native: bool = True,
) -> Tensor:
    """The log-probabilities with the memory's word in them; they add up to 1 as before.

    Tokens in `control_ids` keep theirs: ends are not in the memory.
    """
    plain_V = np.ascontiguousarray(logprobs_V.float().numpy(force=True))
    mixed_V = np.empty_like(plain_V)
    found, ids = Found(*matches), control_ids.astype(np.int32)
    if not (may_be_native and try_blend(_RULE, plain_V, found, ids, mixed_V)):
        mixed_V = _blend_by_numpy(plain_V, matches, control_ids)
    return torch.from_numpy(mixed_V).to(logprobs_V)


def _blend_by_numpy(
    plain_V: NDArray[np.float32], matches: Matches, control_ids: NDArray[np.int64]
) -> NDArray[np.float32]:
    next_ids, masses, share_left = _weigh(matches, float(np.exp(plain_V.max())))
    ends = plain_V[control_ids]
    masses *= max(1.0 - float(np.exp(ends).sum()), 1e-9)
    mixed_V = plain_V + np.float32(np.log(share_left))
    mixed_V[next_ids] = np.logaddexp(mixed_V[next_ids], np.log(masses))
    mixed_V[control_ids] = ends
    return mixed_V


def _weigh(
    matches: Matches, p_surest: float
) -> tuple[NDArray[np.int32], NDArray[np.float64], float]:
    """Tokens, the probability the memory gives each, and the share left to the network.

    Rows of the arrays are tokens, columns are orders, the longest first.
    """
    next_ids, rows = np.unique(matches.next_ids, return_inverse=True)
    cells = rows * _N_ORDERS + (MOST_ORDER - matches.n_equal)
    weights = np.bincount(
        cells, _WEIGHT_OF_LEVEL[matches.levels], minlength=len(next_ids) * _N_ORDERS
    )
    # What matches many tokens matches fewer too.
    weights = weights.reshape(len(next_ids), _N_ORDERS).cumsum(axis=1)
    totals = weights.sum(axis=0)
    first = int(totals.searchsorted(0.0, "right"))
    weights, totals = weights[:, first:], totals[first:]
    rivals = totals - weights.max(axis=0)
    scores = _LEAST_SHARE[first:] + _BY_SURENESS * p_surest
    scores += _BY_WEIGHT * np.log(totals)
    scores += _BY_RIVAL_SHARE * rivals / totals + _BY_RIVALS * np.log1p(rivals)
    shares = 1.0 / (1.0 + np.exp(-scores))
    left = np.cumprod(1.0 - shares)
    taken = shares.copy()
    taken[1:] *= left[:-1]
    return next_ids, weights @ (taken / totals), float(left[-1])
