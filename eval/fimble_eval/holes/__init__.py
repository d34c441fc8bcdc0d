"""Holes cut into repositories that a model was not trained on, and how well it fills them."""
