"""The command line: wiring and exit codes. 0 done, 1 failed, 2 usage.

What a command needs it imports when it runs, so that `--help` answers at once.
"""
