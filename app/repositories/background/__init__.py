"""Queries on background jobs, mails, and imports and exports."""
