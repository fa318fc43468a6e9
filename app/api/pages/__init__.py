"""What the admin page is made with: templates, static files, cookies, forms and errors."""
