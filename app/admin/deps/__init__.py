"""Dependencies of the admin pages."""
