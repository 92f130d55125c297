"""`/v1/endpoints`."""

from fastapi import APIRouter

from hookfarm.api.context import Context


def build_router(_context: Context) -> APIRouter:
    return APIRouter(prefix="/endpoints", tags=["endpoints"])
