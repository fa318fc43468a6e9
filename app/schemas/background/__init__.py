"""Schemas of background jobs, mails, and imports and exports."""
