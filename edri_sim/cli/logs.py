"""The log of a program, on stderr: lines for people, or JSON for programs."""

from __future__ import annotations

import json
import logging
import time

from edri_sim.errors import SettingsError

LEVELS = ("debug", "info", "warning", "error")
FIELDS = ("node", "event_id", "component")
"""What records of ours may say beside the message."""


class _Line(logging.Formatter):
    def __init__(self) -> None:
        super().__init__("%(asctime)s.%(msecs)03d %(levelname)-7s %(message)s", "%H:%M:%S")


class _Json(logging.Formatter):
    converter = staticmethod(time.gmtime)

    def format(self, record: logging.LogRecord) -> str:
        """One object, in one line; called by logging."""
        line = {
            "time": f"{self.formatTime(record, '%Y-%m-%dT%H:%M:%S')}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(), "logger": record.name, "message": record.getMessage(),
        }  # fmt: skip
        line |= {name: str(getattr(record, name)) for name in FIELDS if hasattr(record, name)}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


def check(level: str) -> str:
    """The level, as logging calls it. Raises SettingsError for an unknown one."""
    if level not in LEVELS:
        raise SettingsError(f"--log {level}: expected one of {', '.join(LEVELS)}")
    return level.upper()


def set_up(level: str, *, as_json: bool) -> None:
    """Send everything that is logged to stderr, from ``level`` on. Raises SettingsError for an unknown level."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Json() if as_json else _Line())
    logging.basicConfig(level=check(level), handlers=[handler])
