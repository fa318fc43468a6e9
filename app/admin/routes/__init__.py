"""Routes of the admin pages."""
