"""Sending classes and their instances to one's own child processes, by value where the child cannot import them."""

from __future__ import annotations

import io
from typing import Any

import cloudpickle

_CACHES = ("__msgspec_cache__",)


class ClassPickler(cloudpickle.Pickler):  # type: ignore[misc]
    """cloudpickle, less what libraries have cached on a class, which cannot be sent and is made again there."""

    def reducer_override(self, obj: Any) -> Any:
        """Called by pickle for every object."""
        reduced = super().reducer_override(obj)
        if isinstance(obj, type) and isinstance(reduced, tuple) and len(reduced) > 2:
            attributes = reduced[2][0]
            for name in _CACHES:
                attributes.pop(name, None)
        return reduced


def dumps(value: object) -> bytes:
    """The value as bytes for ``pickle.loads``. Raises whatever pickling it raises."""
    buffer = io.BytesIO()
    ClassPickler(buffer).dump(value)
    return buffer.getvalue()
