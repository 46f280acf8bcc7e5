"""Real time: this machine as a host, with real threads and processes."""
