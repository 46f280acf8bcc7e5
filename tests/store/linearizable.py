"""Whether a recorded history is linearizable: a search of Wing and Gong's kind, with Lowe's memory.

A history is linearizable if every operation can be given an instant between its call and its return at which it takes
effect as a whole, such that each result is what a sequential model gives. One that never returned (its client died, or
was told that nobody knows) may have taken effect at any time after its call, or not at all.

J. M. Wing, C. Gong: Testing and verifying concurrent objects. J. Parallel Distrib. Comput. 17 (1993).
G. Lowe: Testing for linearizability. Concurrency Comput. Pract. Exper. 29 (2017): what is remembered is the pair of
what was linearized and the state to which that led, whatever the order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple, TypeVar

S = TypeVar("S", bound=Hashable)

NEVER = math.inf
"""When an operation returned that did not."""


class Operation(NamedTuple):
    """What a client asked, and what it was told; ``called`` and ``returned`` in the order of real time."""

    client: str
    act: Any
    result: Any
    called: float
    returned: float = NEVER

    def __str__(self) -> str:
        end = f"-> {self.result}" if self.returned < NEVER else "and never returned"
        return f"[{self.called:g}, {self.returned:g}] {self.client}: {self.act} {end}"


class NotLinearizable(AssertionError):
    """There is no order; the message says how far the best one got, and what could come next and does not fit."""


Step = Callable[[S, Operation], "list[S]"]
"""The states to which an operation may lead, none if its result is impossible. It is called with hashable states."""


def check(history: Sequence[Operation], state: S, step: Step[S]) -> None:
    """Raise NotLinearizable unless ``history`` has an order, from ``state`` on, in which ``step`` allows each step."""
    operations = sorted(history, key=lambda operation: operation.called)
    best = _Search(operations, step).run(state)
    if best is not None:
        raise NotLinearizable(_explain(operations, *best))


class _Search:
    """Depth first, over what is done (a mask of bits) and the state that this led to.

    Of the operations that never returned as few are used as will do: a place is not looked at if the same operations
    that did return led to the same state with fewer of the others. And of those that are alike, the first comes first.
    Without these two rules each of them would double the work.
    """

    def __init__(self, operations: list[Operation], step: Step[Any]) -> None:
        self._operations = operations
        self._step = step
        self._must = sum(1 << i for i, operation in enumerate(operations) if operation.returned < NEVER)
        self._twin = _twins(operations)
        self._seen: dict[tuple[int, Any], list[int]] = {}

    def run(self, state: Any) -> tuple[int, Any] | None:
        """None if there is an order; else the place to which the longest attempt got."""
        stack = [(0, state)]
        best = (0, state)
        while stack:
            done, state = stack.pop()
            if done & self._must == self._must:
                return None
            if (done & self._must).bit_count() > (best[0] & self._must).bit_count():
                best = (done, state)
            stack += [place for place in self._next(done, state) if self._is_new(*place)]
        return best

    def _next(self, done: int, state: Any) -> list[tuple[int, Any]]:
        """What may come next. The stack is popped from its end: so what returned first is tried first."""
        found = [
            (operation.returned, done | 1 << i, after)
            for i, operation in candidates(self._operations, done)
            if i not in self._twin or done >> self._twin[i] & 1
            for after in self._step(state, operation)
        ]
        found.sort(key=lambda one: one[0], reverse=True)
        return [(mask, after) for _, mask, after in found]

    def _is_new(self, done: int, state: Any) -> bool:
        others = self._seen.setdefault((done & self._must, state), [])
        extra = done & ~self._must
        if any(other & extra == other for other in others):
            return False
        others[:] = [other for other in others if other & extra != extra]
        others.append(extra)
        return True


def _twins(operations: Sequence[Operation]) -> dict[int, int]:
    """For each operation that never returned, the last one before it that asks the same and never returned."""
    last: list[tuple[Any, int]] = []
    twins = {}
    for i, operation in enumerate(operations):
        if operation.returned == NEVER:
            alike = [j for act, j in last if act == operation.act]
            if alike:
                twins[i] = alike[-1]
            last.append((operation.act, i))
    return twins


def candidates(operations: Sequence[Operation], done: int) -> list[tuple[int, Operation]]:
    """The operations not done that were called before any of those not done had returned."""
    open_ = []
    first_return = NEVER
    for i in range((~done & done + 1).bit_length() - 1, len(operations)):
        operation = operations[i]
        if operation.called > first_return:
            break
        if not done >> i & 1:
            open_.append((i, operation))
            first_return = min(first_return, operation.returned)
    return [(i, operation) for i, operation in open_ if operation.called <= first_return]


def _explain(operations: Sequence[Operation], done: int, state: Any) -> str:
    fits = [f"  {operation}" for i, operation in enumerate(operations) if done >> i & 1][-8:]
    stuck = [f"  {operation}" for _, operation in candidates(operations, done)]
    return "\n".join(["not linearizable: after", *fits, f"which leave {state}, there is no place for any of", *stuck])
