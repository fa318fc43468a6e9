"""Actions on many users as background jobs."""
