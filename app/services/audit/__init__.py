"""The audit trail: recording, redaction, lists and retention."""
