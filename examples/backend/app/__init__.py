"""The service. `main.py` builds the application; README.md describes the packages."""

__version__ = "0.1.0"
