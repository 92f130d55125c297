import ast
import subprocess
import sys
from pathlib import Path

import hookfarm.devchain

PACKAGE = Path(hookfarm.devchain.__file__).parent


def imported_names(path: Path) -> set[str]:
    names = set[str]()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module in ("hookfarm", "hookfarm.abi"):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


def test_devchain_imports_nothing_of_hookfarm_but_errors_and_the_bloom() -> None:
    for path in PACKAGE.glob("*.py"):
        foreign = {
            name
            for name in imported_names(path)
            if name.split(".")[0] == "hookfarm" and not name.startswith("hookfarm.devchain")
        }
        assert foreign <= {"hookfarm.errors", "hookfarm.abi.bloom"}, path.name


def test_importing_the_devchain_does_not_import_web3() -> None:
    program = (
        "import sys, hookfarm.devchain.embedded; "
        "print(sorted({'web3', 'rlp', 'eth_utils', 'pydantic', 'redis'} & sys.modules.keys()))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
