"""A run to be played, stopped and searched in a browser, with a kernel or without."""
