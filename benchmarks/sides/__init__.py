"""The sides that are measured: each module runs one case by name and prints one JSON line."""
