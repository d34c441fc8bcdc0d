"""`fimble-eval engine --gpu`: the engine on one CUDA GPU, beside its ceilings and transformers.

Every part can be rehearsed on a CPU with a tiny network, so that the command is known to run.
"""
