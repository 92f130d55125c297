"""Which of a chain's URLs to use: the first that works, and the next one after a failure."""

from collections.abc import Sequence


class Rotation:
    """The URLs in the order of preference, and what is known of their health."""

    def __init__(self, urls: Sequence[str]) -> None:
        self._urls = tuple(urls)
        self._current = 0
        self._failures = 0

    @property
    def url(self) -> str:
        """The one to use now."""
        return self._urls[self._current]

    @property
    def failed_rounds(self) -> int:
        """How often in a row every one of them has failed."""
        return self._failures // len(self._urls)

    @property
    def untried(self) -> bool:
        """True while a URL is left that has not failed in this round: no reason to wait."""
        return self._failures % len(self._urls) != 0

    def failed(self) -> None:
        """The current one did not work: on to the next."""
        self._failures += 1
        self._current = (self._current + 1) % len(self._urls)

    def worked(self) -> None:
        """The current one is of use; the count of failures starts again."""
        self._failures = 0
