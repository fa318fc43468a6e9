"""Invitations: sending, changes, acceptance."""
