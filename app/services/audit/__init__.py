"""Recording in the audit trail: events of a transaction, and redaction."""
