"""What tests of links have in common."""

from __future__ import annotations

from tests.links.cluster import cluster

__all__ = ["cluster"]
