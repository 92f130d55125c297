"""The page of the HTTP API, from its OpenAPI document."""

import json
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from fastapi.routing import APIRoute

from generators.markdown import code, codes, fence, json_fence, paragraphs, plain, sentence, table
from hookfarm.api import examples
from hookfarm.api.app import OPEN, WITH_TOKEN, build
from hookfarm.api.context import Context, Settings
from hookfarm.api.openapi import DESCRIPTION
from hookfarm.store.clients import async_client, command_client

_URL = "redis://127.0.0.1:6379"
"""Never connected to."""
_UNDESCRIBED = "Successful Response"
"""FastAPI's description where the code has none."""
_TITLES = {"health": "Health and metrics", "dead-letters": "Dead letters"}


def parts() -> dict[str, str]:
    context = Context(Settings(_URL, "token"), command_client(_URL), async_client(_URL))
    document = dict(build(context).openapi())
    paths, schemas = document["paths"], document["components"]["schemas"]
    _restore_nulls(paths, context)
    common, with_body = _common_errors(paths)
    return {
        "description": DESCRIPTION.partition("\n\n")[2],
        "errors": _errors(paths),
        "common": codes(common),
        "with_body": codes(with_body),
        "problem": json.dumps(examples.PROBLEM, indent=2),
        "overview": _overview(paths),
        "routes": paragraphs(*_routes(paths, {*common, *with_body})),
        "schemas": paragraphs(
            *(_schema(name, schemas[name]) for name in sorted(schemas) if _is_ours(schemas[name]))
        ),
    }


def _restore_nulls(paths: Mapping[str, Any], context: Context) -> None:
    """Give the document the examples of the code: FastAPI leaves null fields out of the document's."""
    for prefix, build_routers in (("", OPEN), ("/v1", WITH_TOKEN)):
        for build_router in build_routers:
            for route in build_router(context).routes:
                if isinstance(route, APIRoute) and route.include_in_schema:
                    for method in route.methods or ():
                        _restore_nulls_of(paths[f"{prefix}{route.path}"][method.lower()], route)


def _restore_nulls_of(operation: dict[str, Any], route: APIRoute) -> None:
    operation.update(route.openapi_extra or {})
    for status, response in route.responses.items():
        for kind, content in response.get("content", {}).items():
            if "example" in content:
                operation["responses"][str(status)]["content"][kind]["example"] = content["example"]


def _common_errors(paths: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Return the errors that all routes with a token have, and those that all with a body have too."""
    secured = [operation for _, _, operation in _operations(paths) if operation.get("security")]
    common = set.intersection(*(set(each["responses"]) for each in secured))
    with_body = set.intersection(*(set(each["responses"]) for each in secured if "requestBody" in each))
    return sorted(filter(_is_error, common)), sorted(filter(_is_error, with_body - common))


def _is_error(status: str) -> bool:
    return status >= "400"


def _errors(paths: Mapping[str, Any]) -> str:
    found = {
        status: response["description"]
        for _, _, operation in _operations(paths)
        if operation.get("security")
        for status, response in operation["responses"].items()
        if _is_error(status)
    }
    return table(("Status", "Meaning"), ((status, sentence(found[status])) for status in sorted(found)))


def _operations(paths: Mapping[str, Any]) -> Iterable[tuple[str, str, Mapping[str, Any]]]:
    for path, methods in paths.items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def _overview(paths: Mapping[str, Any]) -> str:
    rows = [
        (f"[`{method} {path}`](#{_anchor(method, path)})", sentence(operation["summary"]))
        for method, path, operation in _operations(paths)
    ]
    return table(("Route", "Effect"), rows)


def _anchor(method: str, path: str) -> str:
    """Return the anchor of a heading, as code hosts make it."""
    kept = (character for character in f"{method} {path}".lower() if character.isalnum() or character in " -_")
    return "".join(kept).replace(" ", "-")


def _routes(paths: Mapping[str, Any], common: Collection[str]) -> Iterable[str]:
    by_tag: dict[str, list[str]] = {}
    for method, path, operation in _operations(paths):
        by_tag.setdefault(operation["tags"][0], []).append(_route(method, path, operation, common))
    for tag, routes in by_tag.items():
        yield f"### {_TITLES.get(tag, tag.capitalize())}"
        yield from routes


def _route(method: str, path: str, operation: Mapping[str, Any], common: Collection[str]) -> str:
    body = operation.get("requestBody")
    hidden = common if operation.get("security") else ()
    responses = {status: each for status, each in sorted(operation["responses"].items()) if status not in hidden}
    return paragraphs(
        f"#### {method} {path}",
        sentence(operation["summary"]),
        plain(operation.get("description", "")),
        "" if operation.get("security") else "Takes no token.",
        _parameters(operation.get("parameters", ())),
        _body(body) if body else "",
        table(("Answer", "Meaning", "Body"), (_response(*each) for each in responses.items())),
        _example(responses),
    )


def _parameters(parameters: Iterable[Mapping[str, Any]]) -> str:
    rows = [
        (
            code(each["name"]),
            each["in"] + (", required" if each.get("required") else ""),
            _type(each["schema"]),
            plain(each.get("description") or each["schema"].get("description", "")),
        )
        for each in parameters
    ]
    return table(("Parameter", "In", "Value", "Meaning"), rows) if rows else ""


def _body(body: Mapping[str, Any]) -> str:
    content = body["content"]["application/json"]
    needed = "" if body.get("required") else ", optional"
    return paragraphs(f"Request body{needed}: {_type(content['schema'])}.", json_fence(content["example"]))


def _response(status: str, response: Mapping[str, Any]) -> tuple[str, str, str]:
    kinds = [
        _type(content["schema"]) if "$ref" in content.get("schema", {}) else code(kind)
        for kind, content in response.get("content", {}).items()
    ]
    meaning = response["description"]
    return status, "Success." if meaning == _UNDESCRIBED else sentence(meaning), ", ".join(kinds)


def _example(responses: Mapping[str, Any]) -> str:
    for status, response in responses.items():
        for content in response.get("content", {}).values():
            if status.startswith("2") and "example" in content:
                example = content["example"]
                shown = fence(example) if isinstance(example, str) else json_fence(example)
                return paragraphs(f"Example of an answer with {status}:", shown)
    return ""


def _is_ours(schema: Mapping[str, Any]) -> bool:
    """Return whether a schema is one of hookfarm; FastAPI adds some for errors that hookfarm never sends."""
    return schema.get("title") not in ("HTTPValidationError", "ValidationError")


def _schema(name: str, schema: Mapping[str, Any]) -> str:
    choices = schema.get("anyOf", [schema])
    tables = map(_fields, choices)
    note = f"One of these {len(choices)} forms:" if len(choices) > 1 else ""
    return paragraphs(f"### {name}", plain(schema.get("description", "")), note, *tables)


def _fields(schema: Mapping[str, Any]) -> str:
    required = schema.get("required", ())
    rows = [
        (code(field), _type(value), "yes" if field in required else "", plain(value.get("description", "")))
        for field, value in schema["properties"].items()
    ]
    return table(("Field", "Value", "Required", "Meaning"), rows)


def _type(schema: Mapping[str, Any]) -> str:
    """Return what a schema allows, in a few words."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "enum" in schema:
        return codes(json.dumps(value) if not isinstance(value, str) else value for value in schema["enum"])
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_type(each) for each in schema["anyOf"]))
    kind = schema.get("type", "any JSON")
    if isinstance(kind, list):
        return " or ".join(_type({**schema, "type": each}) for each in kind)
    if kind == "array":
        return f"list of {_type(schema['items'])}" if "items" in schema else "list"
    return _bounded(kind, schema)


_BOUNDS = {"minimum": "≥", "maximum": "≤", "ge": "≥", "le": "≤"}


def _bounded(kind: str, schema: Mapping[str, Any]) -> str:
    bounds = [f"{sign} {schema[name]}" for name, sign in _BOUNDS.items() if name in schema and kind != "null"]
    lengths = [f"at most {schema['maxLength']} characters"] if "maxLength" in schema and kind == "string" else []
    extra = [f"default {json.dumps(schema['default'])}"] if schema.get("default") is not None else []
    formats = ["RFC 3339"] if schema.get("format") == "date-time" and kind == "string" else []
    notes = [*bounds, *lengths, *formats, *extra]
    return f"{kind} ({', '.join(notes)})" if notes else str(kind)
