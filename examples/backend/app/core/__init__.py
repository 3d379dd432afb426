"""The lowest layer: used by all other packages, and imports none of them."""
