"""Roles, and rules about permissions."""
