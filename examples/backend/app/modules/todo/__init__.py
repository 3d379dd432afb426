"""To-dos, the example module: a state machine and a list with filters."""
