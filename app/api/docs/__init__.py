"""Documentation of the API: `/docs`, `/redoc` and `/openapi.json`."""
