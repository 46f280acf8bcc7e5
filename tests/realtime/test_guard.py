"""Which addresses are this machine's own, and what a file of allow-lists allows."""

from __future__ import annotations

from pathlib import Path

import pytest

from edri_sim.realtime.guard import is_loopback, read_permissions
from edri_sim.settings import Settings

FILE = """
[allow.web]
publish = ["Buy", "Sold*"]
subscribe = ["Report"]

[allow.guest]

[allow."*"]
subscribe = ["Report"]
"""


@pytest.mark.parametrize(
    ("host", "own"),
    [
        ("127.0.0.1", True), ("127.1.2.3", True), ("::1", True), ("localhost", True), ("0.0.0.0", False),
        ("::", False), ("10.0.0.1", False), ("localhost.example.org", False), ("", False), ("fe80::1%lo", False),
    ],
)  # fmt: skip
def test_an_address_of_this_machine_alone(host: str, own: bool) -> None:
    assert is_loopback(host) is own


@pytest.mark.parametrize(
    ("node", "verb", "type_", "allowed"),
    [
        ("web", "publish", "Buy", True),
        ("web", "publish", "SoldOut", True),
        ("web", "publish", "Report", False),
        ("web", "subscribe", "Buy", False),
        ("stock", "subscribe", "Report", True),
        ("stock", "publish", "Report", False),
        ("guest", "subscribe", "Report", False),
    ],
)
def test_a_file_says_who_may_do_what(tmp_path: Path, node: str, verb: str, type_: str, allowed: bool) -> None:
    path = tmp_path / "edri.toml"
    path.write_text(FILE)
    assert read_permissions(Settings(allow=str(path))).allows(node, verb, type_) is allowed


def test_without_a_file_everything_is_allowed() -> None:
    assert read_permissions(Settings()).allows("web", "publish", "Buy")
