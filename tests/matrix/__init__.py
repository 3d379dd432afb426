"""The variants of the template: `python -m tests.matrix --help`."""
