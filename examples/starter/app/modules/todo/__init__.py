"""Things to do: the example. It shows a state machine, a list with filters, and a live feed."""
