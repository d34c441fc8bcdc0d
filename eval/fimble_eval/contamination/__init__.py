"""How much of a benchmark stands in a corpus, task by task."""
