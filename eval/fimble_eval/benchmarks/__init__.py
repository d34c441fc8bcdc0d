"""Public benchmarks, scored by running their tests."""
