"""The prefork master: forks, watches, replaces and stops processes, independent of their work."""
