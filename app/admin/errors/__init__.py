"""Errors as pages: what is wrong, in plain words, and what to do."""
