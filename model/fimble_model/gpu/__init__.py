"""The engine on a CUDA GPU: fused operations, and the runner that captures them in graphs.

Never imported on a machine without one, but by tests; Triton and xformers are optional.
"""
