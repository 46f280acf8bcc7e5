"""How functions and generators that a loop calls come to their end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Any, TypeVar

T = TypeVar("T")


def call_into(future: asyncio.Future[T], work: Callable[[], T]) -> None:
    """Give ``future`` what ``work`` returns or raises, unless nobody waits any more."""
    if future.cancelled():
        return
    try:
        result = work()
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        future.set_exception(error)
    else:
        future.set_result(result)


def finish_asyncgen(agen: AsyncGenerator[Any, Any]) -> None:
    """Close an asynchronous generator where nothing can be awaited any more: a clean-up that awaits is cut short."""
    closing = agen.aclose()
    try:
        closing.send(None)
        closing.close()
    except BaseException:  # its clean-up failed, and nobody is left to be told
        return
