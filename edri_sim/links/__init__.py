"""Joining routers: frames, flows, the outbox, interest, and the connector and switch that carry them."""
