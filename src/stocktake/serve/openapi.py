"""OpenAPI: the document of what a server takes and answers; see https://spec.openapis.org/oas."""

from typing import Any

from stocktake import __version__
from stocktake.schema.predictions import DECISIONS
from stocktake.serve import wire
from stocktake.serve.occlusion import PARTS

VERSION = "3.1.0"

REFUSALS = {
    400: "The body is empty, or is not what its Content-Type says.",
    401: "A token is asked for, and the request has none, or another.",
    406: "Accept leaves JSON out.",
    408: "The body did not arrive in time.",
    413: "The body is too large.",
    415: "The Content-Type is not one that is read.",
    422: "The photo cannot be read, or the JSON is of another shape.",
    429: "This client has as many requests inside as it may.",
    500: "A fault of the server; its log has the cause under the id in the message.",
    503: "Too many photos are waiting, or the server is ending.",
}
"""Every refusal there is; its body is {"error": what was found, what was expected, what to do}."""


def document(*, max_count: int, has_token: bool) -> dict[str, Any]:
    """The OpenAPI document of a server.

    Args:
        max_count: largest count its bundle can say.
        has_token: whether requests need one.
    """
    security: list[Any] = [{"token": []}] if has_token else []
    return {
        "openapi": VERSION,
        "info": {
            "title": "stocktake",
            "version": __version__,
            "description": "Counts what is in a photo of a warehouse bin.",
        },
        "paths": {
            "/v1/count": {"post": _count("count", "Count what is in photos", security)},
            "/invocations": {
                "post": _count("invocations", "The same, where SageMaker asks for it", security)
            },
            "/v1/heatmap": {"post": _heatmap(security)},
            "/ping": {"get": _get("ping", "Whether the server is ready", _PING)},
            "/execution-parameters": {
                "get": _get("executionParameters", "What batch transform may send", _OBJECT)
            },
            "/metrics": {"get": _metrics(security)},
        },
        "components": {
            "schemas": _schemas(max_count),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}} if has_token else {},
        },
    }


_OBJECT: dict[str, Any] = {"type": "object"}
_PING = {
    "type": "object",
    "required": ["status", "bundle"],
    "properties": {"status": {"const": "ready"}, "bundle": {"type": "string"}},
}
_ERROR = {"$ref": "#/components/schemas/Error"}


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {wire.JSON_TYPE: {"schema": schema}}


def _refusals() -> dict[str, Any]:
    return {
        str(status): {"description": about, "content": _json(_ERROR)}
        for status, about in REFUSALS.items()
    }


def _photo_bodies() -> dict[str, Any]:
    binary = {"schema": {"type": "string", "contentMediaType": "image/*"}}
    form = {"type": "object", "additionalProperties": {"type": "string", "format": "binary"}}
    return {
        **dict.fromkeys(wire.PHOTO_TYPES, binary),
        wire.FORM_TYPE: {"schema": form},
        **_json(_ref("Asked")),
    }


def _count(name: str, about: str, security: list[Any]) -> dict[str, Any]:
    return {
        "operationId": name,
        "summary": about,
        "security": security,
        "requestBody": {"required": True, "content": _photo_bodies()},
        "responses": {
            "200": {
                "description": "One photo's answer, or a list where a list was asked about.",
                "content": _json({"oneOf": [_ref("Answer"), _ref("Answers")]}),
            },
            **_refusals(),
        },
    }


def _heatmap(security: list[Any]) -> dict[str, Any]:
    row = {"type": "array", "items": {"type": "number", "minimum": 0, "maximum": 1}}
    falls = {"type": "array", "items": row, "minItems": PARTS, "maxItems": PARTS}
    made = {
        "type": "object",
        "required": ["count", "falls", "most", "ms"],
        "properties": {
            "count": {"type": "integer"},
            "falls": {
                **falls,
                "description": "How much the answer depends on each part of the photo, from the"
                " top left: the fall of its log-probability when the part is covered, 1 the most.",
            },
            "most": {"type": "number", "description": "What 1 stands for, in nats."},
            "ms": {"type": "number"},
        },
    }
    return {
        "operationId": "heatmap",
        "summary": "Where the model looked, in one photo",
        "security": security,
        "requestBody": {"required": True, "content": _photo_bodies()},
        "responses": {
            "200": {"description": "A map.", "content": _json(made)},
            **_refusals(),
        },
    }


def _get(name: str, about: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {
        "operationId": name,
        "summary": about,
        "responses": {"200": {"description": about, "content": _json(schema)}},
    }


def _metrics(security: list[Any]) -> dict[str, Any]:
    refusals = {status: row for status, row in _refusals().items() if status in ("401", "500")}
    text = {"text/plain": {"schema": {"type": "string"}}}
    return {
        "operationId": "metrics",
        "summary": "Figures for Prometheus",
        "security": security,
        "responses": {"200": {"description": "Figures.", "content": text}, **refusals},
    }


def _schemas(max_count: int) -> dict[str, Any]:
    count = {"type": "integer", "minimum": 0, "maximum": max_count}
    share = {"type": "number", "minimum": 0, "maximum": 1}
    size = max_count + 1
    answer = {
        "count": count,
        "confidence": {**share, "description": "Probability of the count."},
        "low": {**count, "description": "Smallest count of the interval."},
        "high": {**count, "description": "Largest count of the interval."},
        "coverage": {**share, "description": "Share of photos whose interval holds the true one."},
        "probabilities": {"type": "array", "items": share, "minItems": size, "maxItems": size},
        "decision": {"enum": list(DECISIONS)},
        "bundle": {"type": "string", "description": "Id of the bundle that answered."},
        "queue_ms": {"type": "number", "description": "Time before its batch began."},
        "ms": {"type": "number", "description": "Time of the whole request here."},
    }
    texts = {"type": "array", "items": {}, "minItems": 1, "maxItems": wire.MAX_PHOTOS}
    base64 = {"type": "string", "contentEncoding": "base64"}
    shapes = {"photo": base64, "photos": texts, "url": {"type": "string"}, "urls": texts}
    return {
        "Answer": {"type": "object", "required": list(answer), "properties": answer},
        "Answers": {
            "type": "object",
            "required": ["predictions", "ms"],
            "properties": {
                "predictions": {"type": "array", "items": {"oneOf": [_ref("Answer"), _ERROR]}},
                "ms": {"type": "number"},
            },
        },
        "Asked": {
            "description": "One of these: a photo or several as base64, or their addresses where"
            " the server allows some.",
            "oneOf": [
                {"type": "object", "required": [key], "properties": {key: shape}}
                for key, shape in shapes.items()
            ],
        },
        "Error": {
            "type": "object",
            "required": ["error"],
            "properties": {"error": {"type": "string"}},
            "additionalProperties": False,
        },
    }
