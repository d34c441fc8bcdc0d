"""How fast the engine is beside others, and what many typists at once get of it.

One part of the measurement a module, each run in a process of its own; `run` puts them together.
"""
