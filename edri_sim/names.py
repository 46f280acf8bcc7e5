"""What nodes, switches and hosts may be called."""

from __future__ import annotations

import re

from edri_sim.errors import DeclarationError

NAME = re.compile(r"[a-z0-9._-]{1,64}")


def check_name(kind: str, name: object) -> str:
    """The name, if it is one that nodes, switches and hosts may have; DeclarationError otherwise."""
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise DeclarationError(f"{kind} name {name!r}: expected 1 to 64 of a-z, 0-9, '.', '_' and '-'")
    return name
