"""Sign-in with identity providers, and the identities of users there."""
