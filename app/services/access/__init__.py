"""Roles, permissions and API keys."""
