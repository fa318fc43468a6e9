"""Schemas of logins, sessions, second factors, roles and API keys."""
