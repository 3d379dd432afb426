"""Live feed of changes to to-dos, an example of Server-Sent Events and of a module that subscribes to another's events."""
