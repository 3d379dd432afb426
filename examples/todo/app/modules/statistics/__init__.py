"""What happens how often: a view that events keep up to date."""
