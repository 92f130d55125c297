import subprocess
import sys

CHECK = "import sys, hookfarm.event_ingestor.process; print(sorted({'web3', 'aiohttp'} & set(sys.modules)))"


def test_a_master_that_imports_the_process_does_not_import_web3() -> None:
    done = subprocess.run([sys.executable, "-c", CHECK], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
