"""Triton's kernels compute what the reference says, and compile for real GPUs without one.

On a machine without a GPU they run in Triton's interpreter (`tests/conftest.py` asks for it),
on tensors of the CPU.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from fimble_model.gpu import reference
from fimble_model.gpu.reference import HeadGains
from fimble_model.network.weight_only import quantize8

pytest.importorskip("triton", reason="Triton is not installed: pip install 'fimble[gpu]'")
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
TYPES = (torch.float32, torch.bfloat16)

from fimble_model.gpu.kernels import attention, linear, norms, picking, rotary  # noqa: E402


def _numbers(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    made = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    return made.to(DEVICE, dtype)


def _assert_near(found: Tensor, expected: Tensor) -> None:
    tolerance = 1e-5 if found.dtype == torch.float32 else 2e-2
    torch.testing.assert_close(found, expected, atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("dtype", TYPES)
def test_norm_and_gate_are_the_references(dtype: torch.dtype) -> None:
    """Widths that are no power of two too, with a residual and without."""
    x_NE, gain_E = _numbers(3, 40, dtype=dtype), _numbers(40, seed=1, dtype=dtype)
    for residual_NE in (None, _numbers(3, 40, seed=2, dtype=dtype)):
        found = norms.add_norm(x_NE, residual_NE, gain_E, 1e-5)
        expected = reference.add_norm(x_NE, residual_NE, gain_E, 1e-5)
        _assert_near(found[0], expected[0])
        _assert_near(found[1], expected[1])
    _assert_near(norms.gated(x_NE), reference.gated(x_NE))


@pytest.mark.parametrize("has_gains", [False, True])
def test_rotary_writes_the_references_slots(*, has_gains: bool) -> None:
    """Queries, keys and values alike, and no other slot is written."""
    qkv_ND, cos_ND, sin_ND = _numbers(4, 8 * 24), _numbers(4, 24, seed=1), _numbers(4, 24, seed=2)
    gains = HeadGains(_numbers(24, seed=3), _numbers(24, seed=4), 1e-6) if has_gains else None
    slots_N = torch.tensor([130, 64, 5, 191], dtype=torch.int64, device=DEVICE)
    pools = [torch.zeros(3, 64, 2, 24, device=DEVICE) for _ in range(4)]
    found = rotary.rotate_and_store(
        qkv_ND, cos_ND, sin_ND, gains, pools[0], pools[1], slots_N, 4, 2
    )
    expected = reference.rotate_and_store(
        qkv_ND, cos_ND, sin_ND, gains, pools[2], pools[3], slots_N, 4, 2
    )
    for one, other in ((found, expected), (pools[0], pools[2]), (pools[1], pools[3])):
        _assert_near(one, other)


@pytest.mark.parametrize(("n_tokens", "head_size"), [(1, 16), (5, 24)])
def test_attention_over_pages_is_the_references(
    n_tokens: int, head_size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However the pages are split among programs; a padding row gives zeros."""
    keys_PSKD, values_PSKD = _numbers(9, 64, 2, head_size), _numbers(9, 64, 2, head_size, seed=1)
    values_PSKD[3, 63] = torch.nan  # Past the third row's end: never weighed, not even by 0.
    q_BTHD = _numbers(3, n_tokens, 6, head_size, seed=2)
    tables_BP = torch.tensor([[4, 1, 7], [5, 0, 0], [3, 0, 0]], dtype=torch.int32, device=DEVICE)
    lengths_B = torch.tensor([150, 0, 40], dtype=torch.int32, device=DEVICE)
    clean = values_PSKD.nan_to_num()
    expected = reference.attend_paged(q_BTHD, keys_PSKD, clean, tables_BP, lengths_B, 0.3)
    for n_splits in (1, 2, 3):
        monkeypatch.setattr(attention, "plan_splits", lambda *, n=n_splits, **_: n)
        found = attention.attend_paged(q_BTHD, keys_PSKD, values_PSKD, tables_BP, lengths_B, 0.3)
        _assert_near(found, expected)


@pytest.mark.parametrize("n_rows", [1, 3, 20])
def test_small_batches_are_multiplied_by_floats_and_by_rounded_weights(n_rows: int) -> None:
    """Outputs and inputs that fill no block, with a bias and without."""
    x_NE, weight_OE = _numbers(n_rows, 200), _numbers(70, 200, seed=1)
    bias_O = _numbers(70, seed=2)
    expected = x_NE @ weight_OE.T
    torch.testing.assert_close(linear.multiply(x_NE, weight_OE), expected, atol=1e-4, rtol=1e-4)
    found = linear.multiply(x_NE, weight_OE, bias_O=bias_O)
    torch.testing.assert_close(found, expected + bias_O, atol=1e-4, rtol=1e-4)
    levels, scale = quantize8(weight_OE)
    expected = reference.linear8(x_NE, levels, scale)
    found = linear.multiply(x_NE, levels, scale)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_picks_are_the_references() -> None:
    """Greedy and drawn rows side by side, over a vocabulary of several stretches."""
    n_rows = 6
    logits_NV = 3 * _numbers(n_rows, 9000)
    logits_NV[0, 5] = logits_NV[0, 8000] = 50.0  # Of equals the first.
    temperatures_N = torch.tensor([0.0, 0.0, 1.0, 0.7, 1.0, 0.3], device=DEVICE)
    top_ps_N = torch.tensor([1.0, 0.5, 1.0, 0.9, 0.4, 0.95], device=DEVICE)
    uniforms_N = torch.tensor([0.5, 0.5, 0.31, 0.77, 0.05, 0.5], device=DEVICE)
    found = picking.pick(logits_NV, temperatures_N, top_ps_N, uniforms_N)
    expected = reference.pick(logits_NV, temperatures_N, top_ps_N, uniforms_N)
    assert found[0].tolist() == expected[0].tolist()
    assert found[0][0] == 5
    torch.testing.assert_close(found[1], expected[1], atol=1e-4, rtol=1e-4)


@pytest.mark.slow
def test_every_kernel_compiles_for_real_gpus() -> None:
    """The interpreter forgives what the compiler does not: it is asked too, and needs no GPU."""
    script = Path(__file__).with_name("compile_kernels.py")
    environment = {key: os.environ[key] for key in os.environ if key != "TRITON_INTERPRET"}
    finished = subprocess.run(
        [sys.executable, str(script)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr[-3000:]
    assert len(finished.stdout.split()) == 10
