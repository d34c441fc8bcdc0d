"""Compile every kernel to a GPU's machine code, for one architecture; writes the kernels' names."""

from __future__ import annotations

import sys
from typing import Any

KINDS = {
    "epsilon": "fp32",
    "tables": "*i32",
    "lengths": "*i32",
    "slots": "*i64",
    "ids": "*i32",
    "best": "*i64",
    **dict.fromkeys(("parts", "tops", "sums", "logprobs", "totals"), "*fp32"),
    **dict.fromkeys(("temperatures", "top_ps", "uniforms", "cos", "sin"), "*fp32"),
}


def _plan() -> Any:
    """Each kernel and its constants, as a model of 1.5B would have them."""
    # Not above: the file is looked at where Triton is not installed too.
    from fimble_model.gpu.kernels import attention, linear, norms, picking, rotary

    return (
        (norms.add_norm_kernel, {"HAS_RESIDUAL": True, "BLOCK_E": 2048}),
        (norms.gated_kernel, {"BLOCK_F": 1024}),
        (
            rotary.rotate_and_store_kernel,
            {"N_QUERY": 12, "N_KEY": 2, "SIZE_D": 128, "BLOCK_D": 128, "HAS_GAINS": True},
        ),
        (
            attention.attend_kernel,
            {
                "N_TOKENS": 5,
                "N_QUERY": 12,
                "N_KEY": 2,
                "N_SPLITS": 8,
                "SIZE_D": 128,
                "SIZE_PAGE": 64,
                "BLOCK_D": 128,
                "BLOCK_R": 32,
            },
        ),
        (attention.weigh_kernel, {"N_SPLITS": 8, "SIZE_D": 128, "BLOCK_D": 128, "BLOCK_P": 8}),
        (
            linear.one_row_kernel,
            {"HAS_SCALE": True, "HAS_BIAS": True, "BLOCK_O": 4, "BLOCK_E": 1024},
        ),
        (
            linear.some_rows_kernel,
            {"HAS_SCALE": True, "HAS_BIAS": True, "BLOCK_N": 64, "BLOCK_O": 32, "BLOCK_E": 128},
        ),
        (picking.scan_kernel, {"BLOCK_V": 4096}),
        (picking.draw_kernel, {"BLOCK_V": 4096}),
        (picking.join_kernel, {"BLOCK_P": 64}),
    )


def _kind(kernel: str, name: str) -> str:
    if name.startswith("n_"):
        return "i32"
    if name == "scale":
        return "fp32" if kernel == "attend_kernel" else "*fp32"
    if name == "weight":
        return "*i8"
    return KINDS.get(name, "*bf16")


def main() -> None:
    """For Hopper unless an argument names another compute capability, such as 80."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    capability = int(sys.argv[1]) if len(sys.argv) > 1 else 90
    for kernel, constants in _plan():
        name = kernel.fn.__name__
        signature = {
            each: "constexpr" if each in constants else _kind(name, each)
            for each in kernel.arg_names
        }
        source = ASTSource(fn=kernel, signature=signature, constexprs=constants)
        compiled = triton.compile(source, target=GPUTarget("cuda", capability, 32))
        assert compiled.asm["cubin"], name
        sys.stdout.write(f"{name}\n")


if __name__ == "__main__":
    main()
