"""Enqueue tasks through a peer's interface: enqueue.py MODULE FILE, with one task per line as a JSON array."""

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
