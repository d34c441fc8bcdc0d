"""On a GPU, all ways to attend over pages agree, and rounded weights serve."""

from __future__ import annotations

import pytest
import torch

from fimble_model.gpu import operations, paged_masks, reference
from fimble_model.network.weight_only import WeightOnlyLinear

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


@pytest.mark.parametrize("n_tokens", [1, 5])
def test_xformers_and_triton_attend_as_torch_does(n_tokens: int) -> None:
    """Within bfloat16's rounding, over rows of several lengths."""
    torch.manual_seed(0)
    pools = torch.randn(2, 40, 64, 2, 128, device="cuda", dtype=torch.bfloat16)
    q_BTHD = torch.randn(4, n_tokens, 12, 128, device="cuda", dtype=torch.bfloat16)
    tables_BP = torch.randperm(40, device="cuda")[:32].view(4, 8).to(torch.int32)
    lengths_B = torch.tensor([500, 64, 65, n_tokens], device="cuda", dtype=torch.int32)
    arguments = (q_BTHD, pools[0], pools[1], tables_BP, lengths_B, 128**-0.5)
    expected = reference.attend_paged(*arguments)
    if operations.has_triton():
        from fimble_model.gpu.kernels import attention

        torch.testing.assert_close(
            attention.attend_paged(*arguments), expected, atol=2e-2, rtol=2e-2
        )
    if paged_masks.has_xformers():
        found = paged_masks.attend_paged(*arguments)
        torch.testing.assert_close(found, expected, atol=2e-2, rtol=2e-2)


@pytest.mark.parametrize("n_rows", [1, 7, 64, 200])
def test_rounded_weights_multiply_on_a_gpu_as_on_the_cpu(n_rows: int) -> None:
    """Within bfloat16's rounding, small batches by Triton and large ones by torch."""
    torch.manual_seed(0)
    layer = WeightOnlyLinear(torch.randn(300, 512), None)
    x_NE = torch.randn(n_rows, 512).to(torch.bfloat16)
    expected = layer(x_NE).float()
    found = layer.to("cuda")(x_NE.to("cuda")).float().cpu()
    assert (found - expected).norm() / expected.norm() < 0.01
