"""What our projects are measured against: the usual way, and the limit. Each is one file, and does the same work."""
