"""Queries: built, run, and their database errors translated."""
