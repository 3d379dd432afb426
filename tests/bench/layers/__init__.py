"""What each layer of a request costs."""
