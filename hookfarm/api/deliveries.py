"""`/v1/deliveries`."""

from fastapi import APIRouter

from hookfarm.api.context import Context


def build_router(_context: Context) -> APIRouter:
    return APIRouter(prefix="/deliveries", tags=["deliveries"])
