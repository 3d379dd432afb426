"""Event statistics: daily counts, updated by an event consumer."""
