"""Who somebody is at an identity provider, and signing in there."""
