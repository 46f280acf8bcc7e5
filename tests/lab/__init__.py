"""Tests of the laboratory: scenarios, load, faults, and what comes of them."""
