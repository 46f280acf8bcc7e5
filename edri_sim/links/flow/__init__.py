"""Flows: the ordered, deduplicated lines of events from one router to another. No I/O, no clock: ``now`` is given."""
