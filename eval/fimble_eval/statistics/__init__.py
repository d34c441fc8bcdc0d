"""What can be said from a number of tasks: unbiased estimates and their intervals."""
