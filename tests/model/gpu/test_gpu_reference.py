"""The GPU's operations in plain torch say what the network's own layers say."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from fimble_model.engine.paging import PAGE_SLOTS
from fimble_model.gpu import operations
from fimble_model.gpu.reference import HeadGains
from fimble_model.network.attention import attend_cached
from fimble_model.network.config import NetworkConfig
from fimble_model.network.norms import RmsNorm
from fimble_model.network.rotary import Rotary, rotate
from fimble_model.network.weight_only import WeightOnlyLinear, quantize8, quantize_fp8

CONFIG = NetworkConfig(
    n_layers=1,
    width=32,
    n_query_heads=4,
    n_key_heads=2,
    head_size=8,
    feed_forward_width=64,
    vocabulary_size=64,
    max_positions=512,
)


def _numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_the_fused_norm_is_the_networks() -> None:
    """Adding and norming is what `RmsNorm` makes of the sum."""
    x_NE, residual_NE, norm = _numbers(5, 32), _numbers(5, 32, seed=1), RmsNorm(32, 1e-5)
    norm.weight.data = _numbers(32, seed=2)
    normed_NE, sum_NE = operations.add_norm(x_NE, residual_NE, norm.weight.data, 1e-5)
    assert torch.equal(sum_NE, x_NE + residual_NE)
    assert torch.allclose(normed_NE, norm(sum_NE), atol=1e-6)
    assert torch.equal(operations.add_norm(x_NE, None, norm.weight.data, 1e-5)[1], x_NE)


def test_keys_are_turned_as_the_networks_and_values_kept() -> None:
    """Slots hold turned keys and plain values, and no other slot is touched."""
    n_tokens, D = 6, CONFIG.head_size  # noqa: N806  shape key
    rotary = Rotary(CONFIG)
    cos_N1D, sin_N1D = rotary(torch.arange(3, 3 + n_tokens))
    qkv_ND = _numbers(n_tokens, 8 * D)
    keys_PSKD = torch.zeros(3, PAGE_SLOTS, 2, D)
    values_PSKD = torch.zeros_like(keys_PSKD)
    slots_N = torch.tensor([130, 64, 65, 191, 128, 70])
    gains = HeadGains(_numbers(D, seed=3), _numbers(D, seed=4), 1e-6)
    for head_gains in (None, gains):
        q_NHD = operations.rotate_and_store(
            qkv_ND, cos_N1D[:, 0], sin_N1D[:, 0], head_gains, keys_PSKD, values_PSKD, slots_N, 4, 2
        )
        heads = qkv_ND.view(n_tokens, 8, D)
        q, k = heads[:, :4], heads[:, 4:6]
        if head_gains is not None:
            q = q * (q.square().mean(-1, keepdim=True) + 1e-6).rsqrt() * gains.query_D
            k = k * (k.square().mean(-1, keepdim=True) + 1e-6).rsqrt() * gains.key_D
        assert torch.allclose(q_NHD, rotate(q, cos_N1D, sin_N1D), atol=1e-5)
        flat_keys, flat_values = keys_PSKD.flatten(0, 1), values_PSKD.flatten(0, 1)
        assert torch.allclose(flat_keys[slots_N], rotate(k, cos_N1D, sin_N1D), atol=1e-5)
        assert torch.equal(flat_values[slots_N], heads[:, 6:])
        assert int(flat_values.abs().sum(dim=(1, 2)).count_nonzero()) == n_tokens


def test_attention_over_pages_is_attention_over_a_row() -> None:
    """Rows of several lengths over scattered pages get what each gets alone; padding gets 0."""
    n_tokens, D = 3, CONFIG.head_size  # noqa: N806  shape key
    keys_PSKD, values_PSKD = _numbers(9, PAGE_SLOTS, 2, D), _numbers(9, PAGE_SLOTS, 2, D, seed=1)
    q_BTHD = _numbers(4, n_tokens, 4, D, seed=2)
    tables_BP = torch.tensor([[3, 1, 7], [5, 0, 0], [2, 8, 0], [0, 0, 0]], dtype=torch.int32)
    lengths_B = torch.tensor([150, 3, 64, 0], dtype=torch.int32)
    o_BTHD = operations.attend_paged(q_BTHD, keys_PSKD, values_PSKD, tables_BP, lengths_B, D**-0.5)
    for row, length in enumerate(lengths_B.tolist()[:3]):
        k_SKD, v_SKD = (x[tables_BP[row].long()].flatten(0, 1) for x in (keys_PSKD, values_PSKD))
        n_cached = length - n_tokens
        alone = attend_cached(q_BTHD[row], k_SKD.transpose(0, 1), v_SKD.transpose(0, 1), n_cached)
        assert torch.allclose(o_BTHD[row], alone, atol=1e-5)
        prefilled = operations.attend_prefill(q_BTHD[row], k_SKD[:length], v_SKD[:length], n_cached)
        assert torch.allclose(prefilled, alone, atol=1e-5)
    assert not o_BTHD[3].any()


def test_rounded_weights_are_near_and_rows_are_independent() -> None:
    """Int8 and float8 products come near the exact ones; a row's does not know its neighbours."""
    x_NE, weight_OE = _numbers(7, 96), _numbers(40, 96, seed=1)
    exact = x_NE @ weight_OE.T
    for quantize, most in ((quantize8, 0.01), (quantize_fp8, 0.05)):
        levels, scale = quantize(weight_OE)
        found = operations.linear8(x_NE, levels, scale)
        assert (found - exact).norm() / exact.norm() < most
        alone = operations.linear8(x_NE[2:3], levels, scale)
        assert torch.allclose(alone[0], found[2], atol=1e-4)
        layer = WeightOnlyLinear(weight_OE, exact[0], is_fp8=quantize is quantize_fp8)
        assert torch.allclose(layer(x_NE), found + exact[0], atol=1e-4)


def test_a_pick_is_greedy_or_inverts_the_cumulated_probabilities() -> None:
    """Over many uniforms the frequencies are the nucleus' probabilities."""
    logits_V = torch.tensor([0.1, 2.0, 1.0, 2.5, -3.0]).log_softmax(0)
    n = 1000
    uniforms_N = (torch.arange(n) + 0.5) / n
    ones = torch.ones(n)
    ids_N, logprobs_N = operations.pick(logits_V.expand(n, -1), ones, ones, uniforms_N)
    shares = torch.bincount(ids_N, minlength=5) / n
    assert torch.allclose(shares, logits_V.exp(), atol=2e-3)
    assert torch.allclose(logprobs_N, logits_V[ids_N])
    ids_N, _ = operations.pick(logits_V.expand(n, -1), ones, 0.7 * ones, uniforms_N)
    assert set(ids_N.tolist()) == {1, 3}
    share = float((ids_N == 3).float().mean())
    assert math.isclose(share, 1 / (1 + math.exp(-0.5)), abs_tol=2e-3)
    ids_N, _ = operations.pick(logits_V.expand(n, -1), 0 * ones, 0.1 * ones, uniforms_N)
    assert set(ids_N.tolist()) == {3}


def test_the_gate_lets_through_what_silu_says() -> None:
    """The first half of a row gates the second."""
    gate_up = _numbers(3, 10)
    expected = gate_up[:, :5] * gate_up[:, :5].sigmoid() * gate_up[:, 5:]
    assert torch.allclose(operations.gated(gate_up), expected, atol=1e-6)
