"""Background work of a rendered project while its processes die: what is lost, done twice, or out of order.

`uv run python -m tests.crashes` does it for people, with a table; `tests/test_crashes.py` asserts it.
"""
