"""The services, all from one package and one image: each runs a part of the routes and background tasks.

They never call each other; they communicate through events.
"""
