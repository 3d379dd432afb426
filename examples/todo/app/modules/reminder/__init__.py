"""Reminders of to-dos that are due."""
