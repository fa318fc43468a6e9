"""Admin pages: routes, services, forms, templates and static files.

The rest of the application does not know them. Without this folder and the call of `include_admin`
in main.py the API stands.
"""
