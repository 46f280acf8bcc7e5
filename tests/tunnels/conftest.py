"""What tests of tunnels between nodes run on."""

from __future__ import annotations

from tests.links.cluster import cluster

__all__ = ["cluster"]
