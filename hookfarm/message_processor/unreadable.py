"""Streams that cannot be read: said once for each when it begins and once when it is over."""

from collections.abc import Mapping

from hookfarm.logs import FieldLogger


class Unreadable:
    """What was last said of which chain."""

    def __init__(self, log: FieldLogger) -> None:
        self._log = log
        self._said: dict[int, str] = {}

    def note(self, found: Mapping[int, str]) -> str:
        """Logs what changed; `found` is chain -> why. Returns all the reasons in one line, empty for none."""
        for chain, reason in found.items():
            if chain not in self._said:
                self._log.error("stream cannot be read", chain=chain, reason=reason)
        for chain in self._said.keys() - found.keys():
            self._log.info("stream can be read again", chain=chain)
        self._said = dict(found)
        return ", ".join(found.values())
