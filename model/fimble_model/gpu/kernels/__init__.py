"""Triton's kernels for the GPU's operations. Importing any of them needs Triton."""
