"""The models under measurement, and the simple answers that any model must beat."""
