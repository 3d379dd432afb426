"""To-dos, the example module: a state machine, a list with filters, and a live feed."""
