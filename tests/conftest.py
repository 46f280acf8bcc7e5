"""What every test runs under. Fixtures of the product's own live in `tests/support`."""

from __future__ import annotations

import signal

pytest_plugins = ["pytester", "tests.skip_policy", "tests.leak_guard", "tests.worlds"]

# A shell's background jobs ignore Ctrl-C, and so would their children; here it is tested.
signal.signal(signal.SIGINT, signal.default_int_handler)
