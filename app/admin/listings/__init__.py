"""Query parameters of the tables of the admin pages: filters, order and page."""
