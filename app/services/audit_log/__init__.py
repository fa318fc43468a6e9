"""The audit trail as it is read, its retention, and the refusals that it samples."""
