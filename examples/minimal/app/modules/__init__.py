"""Domain modules: one package per domain entity, with layers from `routes` down to `models`."""
