"""The services, from one package and one image: each is the app with a part of its routes and of its work.

They never call each other. What one has to say to another is an event.
"""
