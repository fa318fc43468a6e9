"""Queries on second factors, one-time tokens, roles and API keys."""
