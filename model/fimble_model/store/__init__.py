"""Models that do not ship: found by a hub's name, fetched once, kept in the hub's own cache.

Owns names, downloads and what counts as a whole model. Builds nothing and imports no torch.
"""
