"""Those who handle events: managers, their own handlers, and their pools of workers."""
