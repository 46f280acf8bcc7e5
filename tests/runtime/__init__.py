"""The core runtime, capability by capability, on both loops."""
