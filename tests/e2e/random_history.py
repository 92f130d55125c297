"""A chain and a farm at random: blocks, reorgs, there and back, and kills."""

import random
import signal

from hookfarm.devchain.embedded import RunningDevchain
from hookfarm.store import keys
from tests.support.farm_processes import FarmProcess

STEPS = 12


def live_through(chain: RunningDevchain, farm: FarmProcess, chance: random.Random) -> None:
    """Three blocks, then growth, reorgs and kills of ingestor and processor as `chance` has it, and a block."""
    chain.mine(3)
    for _ in range(STEPS):
        step = chance.choice(["mine", "mine", "reorg", "back", "ingestor", "processor"])
        if step == "mine":
            chain.mine(chance.randint(1, 4))
        elif step == "reorg":
            chain.reorg(chance.randint(1, 4))
        elif step == "back":
            before = chain.head()
            chain.reorg(chance.randint(1, 3))
            chain.switch_to(before.hash)
        else:
            _kill(farm, keys.EVENT_INGESTOR if step == "ingestor" else keys.MESSAGE_PROCESSOR)
    chain.mine(1)


def _kill(farm: FarmProcess, service: str) -> None:
    """One process of the service, where there is one just now."""
    victims = [child for name, child in farm.children().items() if name.startswith(service)]
    for victim in victims[:1]:
        victim.send_signal(signal.SIGKILL)
