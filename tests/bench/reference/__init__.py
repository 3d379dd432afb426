"""References for the benchmark: a common implementation, and the fastest possible one. Each is one file with the same features."""
