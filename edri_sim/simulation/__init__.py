"""Simulated time: asyncio's event loop on a SimPy environment, and the simulated network, cores and hosts on it."""
