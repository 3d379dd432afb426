"""The service. Start reading at `main.py`; README.md has the map."""

__version__ = "0.1.0"
