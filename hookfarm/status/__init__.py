"""The whole farm at a glance, read from Redis: what `status`, `top` and `demo` show, and the API's stats.

A picture is JSON: what the services say of themselves, how much waits at each hop, how fast it flows. Taking one
costs two round trips and some forty commands that each take the same time whatever is in the keys.
"""

from hookfarm.status.chains import with_unheard
from hookfarm.status.rates import Rates
from hookfarm.status.services import SILENT_SECONDS
from hookfarm.status.snapshot import Picture, take, take_async

__all__ = ["SILENT_SECONDS", "Picture", "Rates", "take", "take_async", "with_unheard"]
