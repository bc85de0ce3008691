"""The web chrome of all services: application factory, middleware, forms, errors, templates, static files."""
