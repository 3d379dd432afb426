"""Background work of a rendered project while its processes are killed: nothing is lost, duplicated or reordered.

`uv run python -m tests.crashes` prints a table; `tests/test_crashes.py` asserts the results.
"""
