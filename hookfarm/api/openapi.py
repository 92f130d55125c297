"""The description of the API, /openapi.json."""

from fastapi import FastAPI

DESCRIPTION = "EVM event logs as signed webhooks."


def install(app: FastAPI) -> None:
    """Completes what FastAPI knows of the routes."""
