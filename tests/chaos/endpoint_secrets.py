"""An endpoint's secret follows from its id, so that the recorder can compute it."""

import base64
import hashlib

CONTROL = "control"
"""What stands for an endpoint in the control, whose webhooks are not signed."""


def secret_of(endpoint_id: str) -> str:
    return "whsec_" + base64.b64encode(hashlib.sha256(endpoint_id.encode()).digest()).decode()
