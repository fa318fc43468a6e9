"""Passwords: their rules, their hashes, and whether a breach has them."""
