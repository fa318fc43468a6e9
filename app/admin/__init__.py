"""The admin pages: routes, templates and everything else they are made of."""
