"""Published event schemas: written from the code, and compared with it.

The code declares the contracts (`app/messaging/contracts.py`). The schema files are committed, and the
code is compared with them. `docs/contracts.md` explains what to do when they differ.
"""
