"""The prefork master: it forks, watches, replaces and stops processes, and knows nothing of their work."""
