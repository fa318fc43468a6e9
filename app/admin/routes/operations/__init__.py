"""Routes of the pages about what the service does."""
