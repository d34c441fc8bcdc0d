"""Measures the server and the model, from outside, the way a user meets them.

Imports both of the other packages; neither of them imports this one.
"""
