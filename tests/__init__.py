"""Tests of the template: what is rendered, and that it works."""
