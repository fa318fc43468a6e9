"""Dependencies of endpoints: who calls, and services."""
