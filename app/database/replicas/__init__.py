"""Read replicas: health, lag, and reads that see their caller's own writes (ADR 25)."""
