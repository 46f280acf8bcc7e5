"""The scheduler: its rules, its requests, what it misses, and what it survives."""
