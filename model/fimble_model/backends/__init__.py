"""Engines over what is not ours: networks of transformers, and servers elsewhere.

Each fulfils the `Engine` protocol as our own does; whoever asks for a completion cannot tell them
apart but by `ModelInfo.back_end`.
"""
