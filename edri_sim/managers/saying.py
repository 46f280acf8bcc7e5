"""What a manager says of itself when it is asked how it is doing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import Any

from edri_sim.managers.stopping import ends_within

WITHIN = 1.0
"""Seconds that a manager's ``health()`` may take."""


async def ask(health: Callable[[], str | Awaitable[str]]) -> str:
    """What ``health`` returns; whatever else comes of it, in words that begin with "unhealthy: "."""
    answers: list[Any] = []

    async def wait(said: Awaitable[str]) -> None:
        answers.append(await said)

    try:
        said = health()
        if not isawaitable(said):
            answers.append(said)
        elif not await ends_within(WITHIN, wait(said)):
            return f"unhealthy: its health() gave no answer within {WITHIN:g} s"
    except Exception as error:
        return f"unhealthy: {type(error).__name__}: {error}"
    (answer,) = answers
    if not isinstance(answer, str):
        return f"unhealthy: its health() returned {answer!r}: expected 'ok', or what is wrong as a str"
    return answer
