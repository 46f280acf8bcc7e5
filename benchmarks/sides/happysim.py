"""happysim, by hand: entities that return the events to schedule next."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator

from happysimulator import Entity, Event, Simulation

from benchmarks.sides import measure, model
from benchmarks.sides.payload import payload


class Client(Entity):
    def __init__(self, name: str, router: Router, requests: int) -> None:
        super().__init__(name)
        self.router = router
        self.requests = requests

    def handle_event(self, event: Event) -> Event | None:  # noqa: ARG002 - starts and replies alike ask for the next
        if not self.requests:
            return None
        self.requests -= 1
        return Event(self.now, "request", self.router, context={"payload": payload(), "client": self})


class Router(Entity):
    def __init__(self, manager: Manager) -> None:
        super().__init__("router")
        self.manager = manager

    def handle_event(self, event: Event) -> Event:
        return self.forward(event, self.manager)


class Manager(Entity):
    def __init__(self) -> None:
        super().__init__("manager")
        self.idle = deque(Worker(f"worker-{number}", self) for number in range(model.WORKERS))
        self.waiting: deque[Event] = deque()

    def handle_event(self, event: Event) -> Event | None:
        if self.idle:
            return self.forward(event, self.idle.popleft())
        self.waiting.append(event)
        return None


class Worker(Entity):
    def __init__(self, name: str, manager: Manager) -> None:
        super().__init__(name)
        self.manager = manager

    def handle_event(self, event: Event) -> Generator[tuple[float, list[Event]], None, list[Event]]:
        replies: list[Event] = []
        while True:
            yield model.SERVICE_TIME, replies
            replies = [self.forward(event, event.context["client"], "reply")]
            if not self.manager.waiting:
                self.manager.idle.append(self)
                return replies
            event = self.manager.waiting.popleft()


def run(requests: int) -> float:
    """Build and run the model; returns the simulated seconds."""
    manager = Manager()
    router = Router(manager)
    clients = [Client(f"client-{number}", router, requests) for number in range(model.CLIENTS)]
    simulation = Simulation(entities=[*clients, router, manager, *manager.idle])
    for client in clients:
        simulation.schedule(Event(client.now, "start", client))
    simulation.run()
    return float(manager.now.to_seconds())


if __name__ == "__main__":
    measure.main({"simulated-requests": lambda: model.per_wall_second(run)})
