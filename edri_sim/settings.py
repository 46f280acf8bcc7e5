"""Settings of nodes and switches: frozen, from arguments, then the environment, then a TOML file, then defaults."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar, Self

from edri_sim.errors import SettingsError
from edri_sim.names import NAME
from edri_sim.trace import LEVELS

ENVIRONMENT_PREFIX = "EDRI_"
MASK = "***"
"""What is shown of a secret that is set."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Configuration:
    """What settings of every kind can do. Their TOML table is ``[<table>]``."""

    table: ClassVar[str]
    _sources: Mapping[str, str] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name in _defaults(type(self)):
            check, expected = _RULES[name]
            value = getattr(self, name)
            if not check(value):
                raise SettingsError(f"setting {name}={_masked(name, value)}: expected {expected}")
        missing = [name for name in _TOGETHER if not getattr(self, name)]
        if missing and len(missing) < len(_TOGETHER):
            raise SettingsError(f"setting {missing[0]}='': expected a file, as {', '.join(_TOGETHER)} go together")

    def __repr__(self) -> str:
        changed = [name for name, default in _defaults(type(self)).items() if getattr(self, name) != default]
        return f"{type(self).__name__}({', '.join(f'{name}={_masked(name, getattr(self, name))}' for name in changed)})"

    def shown(self) -> dict[str, dict[str, Any]]:
        """Each setting's ``value``, a secret masked, and ``from`` where it is, for a person or as JSON.

        That is ``argument``, ``environment EDRI_<NAME>``, ``in <file>`` or ``default``.
        """
        return {
            name: {
                "value": MASK if _secret(name, getattr(self, name)) else getattr(self, name),
                "from": self._sources.get(name, "default" if getattr(self, name) == default else "argument"),
            }
            for name, default in _defaults(type(self)).items()
        }

    @classmethod
    def load(cls, *, toml: Path | None = None, environment: Mapping[str, str] | None = None, **arguments: Any) -> Self:
        """Settings from ``arguments``, else ``EDRI_<NAME>`` of ``environment``, else their table in the file.

        Raises :class:`SettingsError` for an unknown name or a bad value, naming where it came from.
        """
        known = {name: type(default) for name, default in _defaults(cls).items()}
        values: dict[str, Any] = {}
        sources: dict[str, str] = {}
        for source, given in (
            (f"in {toml}", _read_toml(toml, cls.table)),
            ("in the environment", _read_environment(environment or {}, known)),
            ("as an argument", arguments),
        ):
            for name, value in given.items():
                _check_name(name, source, known)
                values[name] = _convert(name, value, source, known[name])
                sources[name] = _origin(name, source)
        settings = cls(**values)
        object.__setattr__(settings, "_sources", sources)
        return settings


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Settings(Configuration):
    """Settings of a node. All times are in seconds.

    Raises :class:`SettingsError` when a value is out of its range. The token is shown nowhere: not in ``repr``, not by
    :meth:`shown`, not in an error.
    """

    table: ClassVar[str] = "edri"
    request_timeout: float = 30.0
    """The deadline of a request that names none."""
    route_grace: float = 1.0
    """How long a request waits for somebody to provide its type before it fails with NoRoute."""
    drain_timeout: float = 10.0
    """How long a stopping node waits for its queues and handlers before it cancels what is left."""
    kill_after: float = 5.0
    """How long a process worker may go on with a cancelled request, or stop, before it is killed; in mode ``method``,
    how long its handlers, and then its ``stop``, hold a stopping node up before they are named and left behind."""
    restart_delay: float = 0.1
    """The pause before a dead worker is replaced; it doubles with every death in a row."""
    restart_delay_max: float = 10.0
    """The longest of these pauses."""
    trace: str = "counters"
    """What a node in real time records: full, sampled, counters or off."""
    trace_cap: int = 5_000_000
    """How many rows a full or sampled trace keeps at most (64 bytes each); 0 is no limit."""
    data: str = ""
    """The folder for what must outlive the program; empty: there is none, and who asks for storage is refused."""
    switches: str = ""
    """The switches to connect to: addresses "host:port" or "[IPv6]:port", separated by commas."""
    token: str = ""
    """The secret that the nodes and switches of one machine share, where there are no certificates."""
    tls_cert: str = ""
    """This node's certificate, a PEM file; it, ``tls_key`` and ``tls_ca`` are given together or not at all."""
    tls_key: str = ""
    """The private key of ``tls_cert``, a PEM file that is not encrypted."""
    tls_ca: str = ""
    """The certificates of those who may sign a peer's certificate, a PEM file."""
    allow: str = ""
    """The file that says which nodes may publish and subscribe to what: TOML, a table ``[allow.NODE]`` each."""
    insecure: bool = False
    """Whether to talk to other machines without certificates."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SwitchSettings(Configuration):
    """Settings of a switch. Raises :class:`SettingsError` like :class:`Settings`."""

    table: ClassVar[str] = "switch"
    name: str = "hub"
    """What it is called, in the logs of the nodes as well."""
    listen: str = "127.0.0.1:7400"
    """The address for nodes: "host:port" or "[IPv6]:port"."""
    status: str = "127.0.0.1:7480"
    """The address at which its status can be read over HTTP; empty: nowhere."""
    token: str = ""
    """The secret that the nodes and switches of one machine share, where there are no certificates."""
    tls_cert: str = ""
    """The switch's certificate, a PEM file; it, ``tls_key`` and ``tls_ca`` are given together or not at all."""
    tls_key: str = ""
    """The private key of ``tls_cert``, a PEM file that is not encrypted."""
    tls_ca: str = ""
    """The certificates of those who may sign a node's certificate, a PEM file."""
    allow: str = ""
    """The file that says which nodes may publish and subscribe to what: TOML, a table ``[allow.NODE]`` each."""
    insecure: bool = False
    """Whether to listen without certificates where other machines can connect."""


_TOGETHER = ("tls_cert", "tls_key", "tls_ca")


def _defaults(kind: type[Configuration]) -> dict[str, Any]:
    return {one.name: one.default for one in fields(kind) if one.init}


def _origin(name: str, source: str) -> str:
    short = {"as an argument": "argument", "in the environment": f"environment {ENVIRONMENT_PREFIX}{name.upper()}"}
    return short.get(source, source)


def _secret(name: str, value: object) -> bool:
    """Whether a value must not be shown: a token that is set, and a key that was given in place of its path."""
    return (name == "token" and value != "") or (name == "tls_key" and not _path(value))


def _masked(name: str, value: object) -> str:
    return MASK if _secret(name, value) else repr(value)


_ADDRESS = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\s:\[\]]+)):(\d{1,5})", re.ASCII)


def addresses(text: str) -> list[tuple[str, int]]:
    """The hosts and ports of addresses "host:port" or "[IPv6]:port" that commas separate, in order.

    Raises :class:`SettingsError` for what is no address.
    """
    return [_address(part.strip()) for part in text.split(",")] if text.strip() else []


def _address(text: str) -> tuple[str, int]:
    match = _ADDRESS.fullmatch(text)
    if match is None or not 0 < int(match[3]) < 65536:
        raise SettingsError(f"address {text!r}: expected host:port or [IPv6]:port, with a port from 1 to 65535")
    return match[1] or match[2], int(match[3])


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _positive(value: Any) -> bool:
    return _number(value) and 0 < value < float("inf")


def _not_negative(value: Any) -> bool:
    return _number(value) and 0 <= value < float("inf")


def _addresses(value: Any) -> bool:
    try:
        return isinstance(value, str) and addresses(value) is not None
    except SettingsError:
        return False


def _boolean(value: Any) -> bool:
    return isinstance(value, bool)


def _one_address(value: Any) -> bool:
    return _addresses(value) and len(addresses(value)) == 1


def _address_or_none(value: Any) -> bool:
    return value == "" or _one_address(value)


def _path(value: Any) -> bool:
    """Whether a value can be a path: a certificate or key that was pasted in its place cannot."""
    return isinstance(value, str) and value.isprintable() and "-----BEGIN" not in value


def _token(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= 256 and value.isascii() and value.isprintable() and " " not in value


def _name(value: Any) -> bool:
    return isinstance(value, str) and NAME.fullmatch(value) is not None


_RULES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "request_timeout": (_positive, "seconds above 0"),
    "route_grace": (_not_negative, "seconds, 0 or more"),
    "drain_timeout": (_not_negative, "seconds, 0 or more"),
    "kill_after": (_not_negative, "seconds, 0 or more"),
    "restart_delay": (_positive, "seconds above 0"),
    "restart_delay_max": (_positive, "seconds above 0"),
    "trace": (LEVELS.__contains__, f"one of {', '.join(LEVELS)}"),
    "trace_cap": (_not_negative, "a number of rows, 0 or more"),
    "data": (_path, "the path of a folder"),
    "switches": (_addresses, "addresses host:port or [IPv6]:port, separated by commas"),
    "token": (_token, "at most 256 visible ASCII characters, without spaces"),
    "tls_cert": (_path, "the path of a file"),
    "tls_key": (_path, "the path of a file"),
    "tls_ca": (_path, "the path of a file"),
    "allow": (_path, "the path of a file"),
    "insecure": (_boolean, "true or false"),
    "name": (_name, "1 to 64 of a-z, 0-9, '.', '_' and '-'"),
    "listen": (_one_address, "an address host:port or [IPv6]:port"),
    "status": (_address_or_none, "an address host:port or [IPv6]:port, or nothing"),
}


def _read_toml(path: Path | None, name: str) -> Mapping[str, Any]:
    if path is None:
        return {}
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8")).get(name, {})
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"settings file {path}: {error}") from error
    if not isinstance(table, dict):
        raise SettingsError(f"settings file {path}: expected a table [{name}], got {type(table).__name__}")
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


_TRUTH = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
_FROM_TEXT: dict[type, tuple[Callable[[str], Any], str]] = {
    float: (float, "a number"),
    int: (int, "a whole number"),
    str: (str, "a string"),
    bool: (lambda text: _TRUTH[text.lower()], "true or false"),
}


def _convert(name: str, value: Any, source: str, kind: type) -> Any:
    read, wanted = _FROM_TEXT[kind]
    if kind is float and _number(value):
        return float(value)
    if type(value) is kind:
        return value
    if isinstance(value, str):
        try:
            return read(value)
        except (ValueError, KeyError):
            pass
    raise SettingsError(f"setting {name}={_masked(name, value)} {source}: expected {wanted}")
