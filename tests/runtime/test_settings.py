"""Settings: where they come from, and what is said of bad ones."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from edri_sim import Node, Settings
from edri_sim.errors import DeclarationError, SettingsError
from edri_sim.settings import SwitchSettings, addresses
from tests.runtime.cast import Ear


def write(folder: Path, text: str) -> Path:
    path = folder / "edri.toml"
    path.write_text(text)
    return path


def test_arguments_beat_the_environment_which_beats_the_file_which_beats_the_defaults(tmp_path: Path) -> None:
    toml = write(tmp_path, "[edri]\nrequest_timeout = 1\nroute_grace = 1.5\nkill_after = 1\n")
    environment = {"EDRI_REQUEST_TIMEOUT": "2", "EDRI_ROUTE_GRACE": "2.5", "EDRI_REQUIRE_ALL": "1", "HOME": "/"}
    settings = Settings.load(toml=toml, environment=environment, request_timeout=3)
    assert (settings.request_timeout, settings.route_grace, settings.kill_after) == (3.0, 2.5, 1.0)
    assert settings.drain_timeout == Settings().drain_timeout


def test_numbers_arrive_as_what_they_are_declared_to_be() -> None:
    settings = Settings.load(environment={"EDRI_TRACE_CAP": "10", "EDRI_TRACE": "full"}, kill_after=0)
    assert (settings.trace_cap, settings.trace, settings.kill_after) == (10, "full", 0.0)
    assert type(settings.kill_after) is float


def test_settings_are_frozen() -> None:
    with pytest.raises(AttributeError):
        Settings().kill_after = 1  # type: ignore[misc]


def test_a_file_without_the_table_changes_nothing(tmp_path: Path) -> None:
    assert Settings.load(toml=write(tmp_path, "[other]\nx = 1\n")) == Settings()


BAD_VALUES = [
    ("request_timeout", 0, "setting request_timeout=0.0: expected seconds above 0"),
    ("request_timeout", float("inf"), "setting request_timeout=inf: expected seconds above 0"),
    ("route_grace", -1, "setting route_grace=-1.0: expected seconds, 0 or more"),
    ("drain_timeout", float("nan"), "setting drain_timeout=nan: expected seconds, 0 or more"),
    ("kill_after", -0.5, "setting kill_after=-0.5: expected seconds, 0 or more"),
    ("restart_delay", 0, "setting restart_delay=0.0: expected seconds above 0"),
    ("restart_delay_max", 0, "setting restart_delay_max=0.0: expected seconds above 0"),
    ("trace", "loud", "setting trace='loud': expected one of full, sampled, counters, off"),
    ("trace_cap", -1, "setting trace_cap=-1: expected a number of rows, 0 or more"),
    ("request_timeout", "soon", "setting request_timeout='soon' as an argument: expected a number"),
    ("request_timeout", True, "setting request_timeout=True as an argument: expected a number"),
    ("request_timeout", None, "setting request_timeout=None as an argument: expected a number"),
    ("trace_cap", 1.5, "setting trace_cap=1.5 as an argument: expected a whole number"),
    ("trace", 5, "setting trace=5 as an argument: expected a string"),
    ("rout_grace", 1, "unknown setting 'rout_grace' as an argument: did you mean 'route_grace'?"),
    (
        "xyzzy",
        1,
        "unknown setting 'xyzzy' as an argument: expected one of request_timeout, route_grace, drain_timeout,"
        " kill_after, restart_delay, restart_delay_max, trace, trace_cap, data, switches, token, tls_cert, tls_key,"
        " tls_ca, allow, insecure",
    ),
    ("data", "a\nb", r"setting data='a\nb': expected the path of a folder"),
    ("switches", "hub", "setting switches='hub': expected addresses host:port or [IPv6]:port, separated by commas"),
    ("tls_ca", "-----BEGIN X", "setting tls_ca='-----BEGIN X': expected the path of a file"),
    ("insecure", "perhaps", "setting insecure='perhaps' as an argument: expected true or false"),
    ("insecure", 1, "setting insecure=1 as an argument: expected true or false"),
    ("allow", "a\nb", r"setting allow='a\nb': expected the path of a file"),
    ("tls_cert", "a.crt", "setting tls_key='': expected a file, as tls_cert, tls_key, tls_ca go together"),
]


@pytest.mark.parametrize(("name", "value", "message"), BAD_VALUES)
def test_a_bad_setting_is_named_with_what_would_be_right(name: str, value: Any, message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.load(**{name: value})
    assert str(caught.value) == message


def test_a_bad_value_in_the_environment_says_so() -> None:
    with pytest.raises(SettingsError, match=r"setting kill_after='soon' in the environment: expected a number"):
        Settings.load(environment={"EDRI_KILL_AFTER": "soon"})


BAD_FILES: list[tuple[str, Callable[[Path], Path], str]] = [
    ("missing", lambda folder: folder / "none.toml", "settings file .*none.toml: .*No such file"),
    ("no toml", lambda folder: write(folder, "edri = [["), "settings file .*edri.toml: "),
    ("no table", lambda folder: write(folder, "edri = 5"), r"settings file .*: expected a table \[edri\], got int"),
    ("no text", lambda folder: _bytes(folder), "settings file .*edri.toml: .*codec can't decode"),
    ("typo", lambda folder: write(folder, "[edri]\nkill_aftr = 1"), "unknown setting 'kill_aftr' in .*edri.toml"),
    ("type", lambda folder: write(folder, "[edri]\nkill_after = true"), "kill_after=True in .*: expected a number"),
]


def _bytes(folder: Path) -> Path:
    path = folder / "edri.toml"
    path.write_bytes(b"\xff\xfe\x00")
    return path


@pytest.mark.parametrize(("make", "message"), [case[1:] for case in BAD_FILES], ids=[case[0] for case in BAD_FILES])
def test_a_bad_file_is_named(tmp_path: Path, make: Callable[[Path], Path], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        Settings.load(toml=make(tmp_path))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", []),
        ("hub:4040", [("hub", 4040)]),
        (" a.example:1 ,127.0.0.1:65535, [::1]:80", [("a.example", 1), ("127.0.0.1", 65535), ("::1", 80)]),
    ],
)
def test_addresses_are_read(text: str, found: list[tuple[str, int]]) -> None:
    assert addresses(text) == found
    assert Settings(switches=text).switches == text


@pytest.mark.parametrize(
    "text", ["hub", "hub:", ":80", "hub:0", "hub:65536", "hub:-1", "hub:+1", "::1:80", "[hub]:80", "a:1,", "a b:1"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match=r"^address '.*': expected host:port or \[IPv6\]:port, with a port"):
        addresses(text)
    with pytest.raises(SettingsError, match="expected addresses host:port"):
        Settings(switches=text)


# Of a switch


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("name", "The Hub", "setting name='The Hub': expected 1 to 64 of a-z, 0-9, '.', '_' and '-'"),
        ("listen", "", "setting listen='': expected an address host:port or [IPv6]:port"),
        ("listen", "a:1,b:2", "setting listen='a:1,b:2': expected an address host:port or [IPv6]:port"),
        ("listen", "127.0.0.1", "setting listen='127.0.0.1': expected an address host:port or [IPv6]:port"),
        ("status", "x", "setting status='x': expected an address host:port or [IPv6]:port, or nothing"),
        ("lisen", "a:1", "unknown setting 'lisen' as an argument: did you mean 'listen'?"),
        ("kill_after", 1, "unknown setting 'kill_after' as an argument: expected one of name, listen, status, token,"),
        ("tls_key", "a.key", "setting tls_cert='': expected a file, as tls_cert, tls_key, tls_ca go together"),
    ],
)
def test_a_bad_setting_of_a_switch_is_named_too(name: str, value: Any, message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        SwitchSettings.load(**{name: value})
    assert str(caught.value).startswith(message)


def test_a_switch_has_a_table_of_its_own(tmp_path: Path) -> None:
    toml = write(tmp_path, '[edri]\nkill_after = 1\n\n[switch]\nname = "north"\ninsecure = true\n')
    settings = SwitchSettings.load(toml=toml, environment={"EDRI_LISTEN": "[::1]:80", "EDRI_TOKEN": SECRET}, status="")
    assert (settings.name, settings.listen, settings.status, settings.insecure) == ("north", "[::1]:80", "", True)
    assert settings.shown()["token"] == {"value": "***", "from": "environment EDRI_TOKEN"}
    assert settings.shown()["name"] == {"value": "north", "from": f"in {toml}"}
    assert repr(settings) == "SwitchSettings(name='north', listen='[::1]:80', status='', token=***, insecure=True)"
    assert Settings.load(toml=toml).kill_after == 1.0
    with pytest.raises(SettingsError, match=r"expected a table \[switch\], got int"):
        SwitchSettings.load(toml=write(tmp_path, "switch = 5"))


@pytest.mark.parametrize(
    ("text", "truth"),
    [("1", True), ("true", True), ("Yes", True), ("on", True), ("0", False), ("FALSE", False), ("off", False)],
)
def test_yes_and_no_in_the_environment(text: str, truth: bool) -> None:
    assert Settings.load(environment={"EDRI_INSECURE": text}).insecure is truth


# What is shown


def test_each_setting_is_shown_with_where_it_came_from(tmp_path: Path) -> None:
    toml = write(tmp_path, "[edri]\nroute_grace = 1.5\nkill_after = 1\n")
    shown = Settings.load(toml=toml, environment={"EDRI_KILL_AFTER": "2", "EDRI_DATA": "/d"}, trace="off").shown()
    assert list(shown) == [one.name for one in fields(Settings) if one.init]
    assert shown["trace"] == {"value": "off", "from": "argument"}
    assert shown["kill_after"] == {"value": 2.0, "from": "environment EDRI_KILL_AFTER"}
    assert shown["route_grace"] == {"value": 1.5, "from": f"in {toml}"}
    assert shown["drain_timeout"] == {"value": 10.0, "from": "default"}
    assert json.loads(json.dumps(shown)) == shown
    assert Settings(data="/d").shown()["data"] == {"value": "/d", "from": "argument"}


def test_where_settings_came_from_makes_them_no_different() -> None:
    loaded, made = Settings.load(environment={"EDRI_KILL_AFTER": "2"}), Settings(kill_after=2.0)
    assert loaded == made
    assert hash(loaded) == hash(made)
    for copied in (copy.copy(loaded), pickle.loads(pickle.dumps(loaded))):
        assert copied.shown() == loaded.shown()


def test_only_what_differs_from_the_defaults_is_in_the_repr() -> None:
    assert repr(Settings()) == "Settings()"
    assert repr(Settings(data="/d", kill_after=1.0)) == "Settings(kill_after=1.0, data='/d')"


SECRET = "xyzzy-plugh"
KEY = f"-----BEGIN PRIVATE KEY-----\n{SECRET}\n-----END PRIVATE KEY-----\n"


def test_a_token_is_shown_nowhere() -> None:
    settings = Settings.load(environment={"EDRI_TOKEN": SECRET})
    assert settings.token == SECRET
    assert settings.shown()["token"] == {"value": "***", "from": "environment EDRI_TOKEN"}
    assert repr(settings) == "Settings(token=***)"
    assert Settings().shown()["token"] == {"value": "", "from": "default"}


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("token", f"{SECRET} {SECRET}", "setting token=***: expected at most 256 visible ASCII characters, without"),
        ("token", [SECRET], "setting token=*** as an argument: expected a string"),
        ("tls_key", KEY, "setting tls_key=***: expected the path of a file"),
        ("tls_key", KEY.encode(), "setting tls_key=*** as an argument: expected a string"),
        ("tls_key", KEY.replace("\n", " "), "setting tls_key=***: expected the path of a file"),
    ],
)
def test_no_error_shows_a_secret(name: str, value: Any, message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.load(**{name: value})
    assert str(caught.value).startswith(message)
    assert SECRET not in str(caught.value)


def test_a_node_takes_single_settings_and_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDRI_KILL_AFTER", "7")
    node = Node("solo", Ear, route_grace=0.25)
    assert (node._settings.kill_after, node._settings.route_grace) == (7.0, 0.25)
    assert Node("solo", Ear, kill_after=8)._settings.kill_after == 8.0
    assert Node("solo", Ear, settings=Settings())._settings.kill_after == Settings().kill_after


def test_a_node_refuses_bad_settings() -> None:
    with pytest.raises(SettingsError, match="did you mean 'drain_timeout'"):
        Node("solo", Ear, drain_timout=1)
    with pytest.raises(DeclarationError, match="node 'solo': pass settings= or single settings, not both"):
        Node("solo", Ear, settings=Settings(), kill_after=1)
