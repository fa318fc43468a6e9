"""Sessions, keys, factors and links: what gives access to an account."""
