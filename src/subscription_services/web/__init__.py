"""Toolkit of pages and API: layout, components, forms, problem details, route table. It knows no room."""
