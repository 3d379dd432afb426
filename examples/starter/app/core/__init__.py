"""The foundation: what every part stands on, and which knows none of them."""
