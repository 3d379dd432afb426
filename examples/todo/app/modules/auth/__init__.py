"""Who is signed in: sessions, roles, and what they allow."""
