"""Query parameters of the tables: filters, order and page, and URLs that contain them."""
