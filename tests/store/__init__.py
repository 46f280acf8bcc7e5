"""Tests of the key-value store."""
