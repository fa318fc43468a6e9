"""API keys: made, listed, revoked, and authenticated."""
