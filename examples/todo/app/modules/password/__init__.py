"""Sign-in with a password: registration, email verification, password reset, and deletion of the user."""
