"""Services of the admin pages."""
