"""An account's life: one-time tokens, recovery of a password, notices."""
