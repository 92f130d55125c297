"""Queues tasks through a peer's own interface: enqueue.py MODULE FILE, with one JSON array of a task a line."""

import importlib
import json
import sys
from pathlib import Path


def main() -> None:
    module, file = sys.argv[1:]
    lines = Path(file).read_text().splitlines()
    importlib.import_module(module).enqueue([tuple(json.loads(line)) for line in lines])


if __name__ == "__main__":
    main()
