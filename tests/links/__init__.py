"""Connectors, switches and what lies between them."""
