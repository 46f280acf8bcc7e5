"""Tests of tunnels."""
