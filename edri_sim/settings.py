"""Settings of a node: frozen, and taken from arguments, then the environment, then a TOML file, then defaults."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from edri_sim.errors import SettingsError
from edri_sim.trace import LEVELS

ENVIRONMENT_PREFIX = "EDRI_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All times are in seconds.

    Raises :class:`SettingsError` when a value is out of its range.
    """

    request_timeout: float = 30.0
    """The deadline of a request that names none."""
    route_grace: float = 1.0
    """How long a request waits for somebody to provide its type before it fails with NoRoute."""
    drain_timeout: float = 10.0
    """How long a stopping node waits for its queues and handlers before it cancels what is left."""
    kill_after: float = 5.0
    """How long a process worker may go on with a cancelled request before it is killed."""
    restart_delay: float = 0.1
    """The pause before a dead worker is replaced; it doubles with every death in a row."""
    restart_delay_max: float = 10.0
    """The longest of these pauses."""
    trace: str = "counters"
    """What a node in real time records: full, sampled, counters or off."""
    trace_cap: int = 5_000_000
    """How many rows a full or sampled trace keeps at most (64 bytes each); 0 is no limit."""

    def __post_init__(self) -> None:
        for name, (check, expected) in _RULES.items():
            value = getattr(self, name)
            if not check(value):
                raise SettingsError(f"setting {name}={value!r}: expected {expected}")

    @classmethod
    def load(
        cls, *, toml: Path | None = None, environment: Mapping[str, str] | None = None, **arguments: Any
    ) -> Settings:
        """Settings from ``arguments``, else ``EDRI_<NAME>`` of ``environment``, else the file's ``[edri]`` table.

        Raises :class:`SettingsError` for an unknown name or a bad value, naming where it came from.
        """
        known = {field.name: type(field.default) for field in fields(cls)}
        values: dict[str, Any] = {}
        for source, given in (
            (f"in {toml}", _read_toml(toml)),
            ("in the environment", _read_environment(environment or {}, known)),
            ("as an argument", arguments),
        ):
            for name, value in given.items():
                _check_name(name, source, known)
                values[name] = _convert(name, value, source, known[name])
        return cls(**values)


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _positive(value: Any) -> bool:
    return _number(value) and 0 < value < float("inf")


def _not_negative(value: Any) -> bool:
    return _number(value) and 0 <= value < float("inf")


_RULES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "request_timeout": (_positive, "seconds above 0"),
    "route_grace": (_not_negative, "seconds, 0 or more"),
    "drain_timeout": (_not_negative, "seconds, 0 or more"),
    "kill_after": (_not_negative, "seconds, 0 or more"),
    "restart_delay": (_positive, "seconds above 0"),
    "restart_delay_max": (_positive, "seconds above 0"),
    "trace": (LEVELS.__contains__, f"one of {', '.join(LEVELS)}"),
    "trace_cap": (_not_negative, "a number of rows, 0 or more"),
}


def _read_toml(path: Path | None) -> Mapping[str, Any]:
    if path is None:
        return {}
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8")).get("edri", {})
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"settings file {path}: {error}") from error
    if not isinstance(table, dict):
        raise SettingsError(f"settings file {path}: expected a table [edri], got {type(table).__name__}")
    return table


def _read_environment(environment: Mapping[str, str], known: Mapping[str, type]) -> Mapping[str, str]:
    # EDRI_REQUIRE_ALL and others have the prefix too and are not settings, so only known names are looked up.
    names = {ENVIRONMENT_PREFIX + name.upper(): name for name in known}
    return {name: environment[variable] for variable, name in names.items() if variable in environment}


def _check_name(name: str, source: str, known: Mapping[str, type]) -> None:
    if name in known:
        return
    near = difflib.get_close_matches(name, known, n=1)
    hint = f": did you mean {near[0]!r}?" if near else f": expected one of {', '.join(known)}"
    raise SettingsError(f"unknown setting {name!r} {source}{hint}")


def _convert(name: str, value: Any, source: str, kind: type) -> Any:
    wanted = {float: "a number", int: "a whole number", str: "a string"}[kind]
    if kind is float and _number(value):
        return float(value)
    if type(value) is kind:
        return value
    if isinstance(value, str):
        try:
            return kind(value)
        except ValueError:
            pass
    raise SettingsError(f"setting {name}={value!r} {source}: expected {wanted}")
