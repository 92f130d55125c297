"""What the shapes of the API are made of, as JSON Schema 2020-12."""

from typing import Any


def object_(properties: dict[str, Any], required: tuple[str, ...] | None = None, **more: Any) -> dict[str, Any]:
    """All of the properties are there unless said otherwise."""
    needed = list(properties) if required is None else list(required)
    return {"type": "object", "properties": properties, **({"required": needed} if needed else {}), **more}


def nullable(kind: str, **more: Any) -> dict[str, Any]:
    return {"type": [kind, "null"], **more}


def page(row: str) -> dict[str, Any]:
    return object_(
        {
            "data": {"type": "array", "items": {"$ref": f"#/components/schemas/{row}"}},
            "next_cursor": nullable("string"),
        }
    )
