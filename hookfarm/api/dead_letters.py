"""`/v1/dead-letters`."""

from fastapi import APIRouter

from hookfarm.api.context import Context


def build_router(_context: Context) -> APIRouter:
    return APIRouter(prefix="/dead-letters", tags=["dead letters"])
