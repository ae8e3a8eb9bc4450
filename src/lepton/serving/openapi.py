"""`GET /openapi.json`: every address of the server, and the rows of each of its models, as OpenAPI 3.1."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any
from urllib.parse import quote

from lepton.core import CATALOGUE, DataError, ErrorCode, Kind, SchemaError, ServingError
from lepton.serving.columns import ServedColumn, served_columns
from lepton.serving.datatypes import DATATYPES
from lepton.serving.model_store import ModelState, ServedModel
from lepton.serving.protocols.base import JSON
from lepton.serving.protocols.binary import BINARY
from lepton.serving.protocols.media import CSV, KIND_OF_FILE, MULTIPART, TABLES
from lepton.serving.protocols.routes import Route
from lepton.serving.services.paths import method_paths
from lepton.version import __version__

__all__ = ["describe_server"]

_Schema = dict[str, Any]
_TEXT: _Schema = {"type": "string"}
_OBJECT: _Schema = {"type": "object"}
_KINDS = {Kind.NUMBER: "number", Kind.BOOLEAN: "boolean"}
_VERSION: _Schema = {
    "name": "version",
    "in": "path",
    "required": True,
    "description": "a version of the model",
    "schema": {"type": "string", "pattern": "^[0-9]+$"},
}
_FAMILIES = (ServingError, SchemaError, DataError)
_MAX_SHOWN = 50
_TEXTS = {"metrics": "text/plain", "page": "text/html", "try": "text/html"}
_TENSOR: _Schema = {
    "type": "object",
    "required": ["name", "shape", "datatype"],
    "properties": {
        "name": _TEXT,
        "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1},
        "datatype": {"type": "string", "enum": list(DATATYPES)},
        "data": {"type": "array", "description": "flat, row by row, or nested as the shape says"},
        "parameters": _OBJECT,
    },
}
_INFER: _Schema = {
    "type": "object",
    "required": ["inputs"],
    "properties": {
        "id": {"type": "string", "maxLength": 256},
        "inputs": {"type": "array", "minItems": 1, "items": {"$ref": "#/components/schemas/Tensor"}},
        "outputs": {"type": "array", "items": {"type": "object", "required": ["name"], "properties": {"name": _TEXT}}},
        "parameters": {
            "type": "object",
            "properties": {
                "timeout": {"type": "integer", "minimum": 0, "description": "microseconds that it may wait"},
                "binary_data_output": {"type": "boolean"},
            },
        },
    },
}
_INFERRED: _Schema = {
    "type": "object",
    "required": ["model_name", "model_version", "outputs"],
    "properties": {
        "model_name": _TEXT,
        "model_version": _TEXT,
        "id": _TEXT,
        "outputs": {"type": "array", "items": {"$ref": "#/components/schemas/Tensor"}},
    },
}
_ERROR: _Schema = {
    "type": "object",
    "required": ["error", "code", "details"],
    "properties": {"error": _TEXT, "code": _TEXT, "details": _OBJECT},
}


def describe_server(
    routes: Sequence[Route], models: Sequence[ServedModel], services: Mapping[str, Mapping[str, Any]] | None = None
) -> _Schema:
    """The OpenAPI document of a server.

    Args:
        routes: its addresses.
        models: the version of each model that answers where a request names none.
        services: methods of services, with what they take and give.
    """
    paths: dict[str, _Schema] = {}
    schemas: dict[str, _Schema] = {"Error": _ERROR, "Tensor": _TENSOR, "Infer": _INFER, "Inferred": _INFERRED}
    keys = {id(model): f"{_plain(model.name)}_{number}" for number, model in enumerate(models, 1)}
    for ready in (model for model in models if model.state is ModelState.READY):
        schemas |= _model_schemas(ready, keys[id(ready)])
    for route in routes:
        of_models = "{model}" in route.pattern and not route.control
        each: Sequence[ServedModel | None] = models if of_models else [None]
        for model in each:
            if model is not None and route.method == "POST" and model.state is not ModelState.READY:
                continue
            path = route.pattern if model is None else route.pattern.replace("{model}", quote(model.name, safe=""))
            operation = _operation(route, model, "" if model is None else keys[id(model)])
            operation["operationId"] = f"{route.method.lower()}{_plain(route.pattern)}" + (
                "" if model is None else f"_{keys[id(model)]}"
            )
            paths.setdefault(path, {})[route.method.lower()] = operation
    paths |= method_paths(services or {}, _errors())
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Lepton inference server",
            "version": __version__,
            "description": "Open Inference Protocol v2, and plain rows as JSON, CSV, Arrow or Parquet.",
        },
        "paths": paths,
        "security": [{}, {"token": []}],
        "components": {
            "schemas": schemas,
            "responses": _error_responses(),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _plain(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "_", text)


def _operation(route: Route, model: ServedModel | None, key: str) -> _Schema:
    operation: _Schema = {"summary": route.does, "responses": {**_errors(), "200": _ok({"application/json": {}})}}
    names = re.findall(r"\{(\w+)\}", route.pattern)
    variables = [name for name in names if name != "model" or model is None]
    if variables:
        operation["parameters"] = [
            _VERSION if name == "version" else {"name": name, "in": "path", "required": True, "schema": _TEXT}
            for name in variables
        ]
    if model is not None:
        operation["tags"] = [model.name]
    last = route.pattern.rpartition("/")[2]
    if route.tables:
        rows = {"schema": {"$ref": f"#/components/schemas/Rows_{key}"}}
        answer = {"schema": {"$ref": f"#/components/schemas/Answer_{key}"}}
        content = {JSON: rows, **_tables(), **_files(model), MULTIPART: _FORM}
        operation["requestBody"] = {"required": True, "content": content}
        operation["responses"]["200"] = _ok({JSON: answer, **_tables()})
    elif last == "infer":
        infer, inferred = (_referring(f"#/components/schemas/{name}") for name in ("Infer", "Inferred"))
        operation["requestBody"] = {"required": True, "content": {JSON: infer}}
        operation["responses"]["200"] = _ok({JSON: inferred, BINARY: {}})
    elif route.method == "POST":
        operation["requestBody"] = {"content": {JSON: {"schema": _OBJECT}}}
    elif last in _TEXTS:
        operation["responses"]["200"] = _ok({_TEXTS[last]: {"schema": _TEXT}})
    return operation


def _referring(target: str) -> _Schema:
    return {"schema": {"$ref": target}}


def _ok(content: _Schema) -> _Schema:
    return {"description": "The answer", "content": content}


def _tables() -> _Schema:
    return {media: {"schema": _TEXT} if media == CSV else {} for media in TABLES}


def _files(model: ServedModel | None) -> _Schema:
    """Bodies that are a row themselves."""
    kind = None if model is None else getattr(model.described.inputs, "kind", None)
    return {media: {} for media, of in KIND_OF_FILE.items() if of is kind}


_FORM: _Schema = {
    "schema": {
        "type": "object",
        "required": ["file"],
        "properties": {"file": {"type": "string", "contentMediaType": BINARY}},
        "additionalProperties": False,
    }
}


@lru_cache(1)
def _codes() -> dict[int, list[str]]:
    """Codes of the catalogue that a request can meet, by status."""
    found: dict[int, list[str]] = {}
    for code, record in CATALOGUE.items():
        if record.family in _FAMILIES or code is ErrorCode.INTERNAL:
            found.setdefault(record.http_status, []).append(str(code))
    return dict(sorted(found.items()))


def _errors() -> _Schema:
    return {str(status): {"$ref": f"#/components/responses/Error{status}"} for status in _codes()}


def _error_responses() -> _Schema:
    return {
        f"Error{status}": {
            "description": ", ".join(f"`{code}`: {CATALOGUE[ErrorCode(code)].title}" for code in codes),
            "content": {
                JSON: {
                    "schema": {
                        "allOf": [{"$ref": "#/components/schemas/Error"}],
                        "properties": {"code": {"enum": codes}},
                    }
                }
            },
        }
        for status, codes in _codes().items()
    }


def _model_schemas(model: ServedModel, key: str) -> dict[str, _Schema]:
    columns = served_columns(model.described)
    row = {
        "type": "object",
        "title": f"A row of {model.name}",
        "required": [column.name for column in columns],
        "properties": {column.name: _column_schema(column) for column in columns},
        "additionalProperties": False,
    }
    of_row = {"$ref": f"#/components/schemas/Row_{key}"}
    several = {"type": "array", "minItems": 1, "items": of_row}
    outputs = {"type": "array", "minItems": 1, "items": {"enum": model.output_names}}
    properties = {"rows": several, "outputs": outputs}
    wrapped = {"type": "object", "required": ["rows"], "properties": properties, "additionalProperties": False}
    return {
        f"Row_{key}": row,
        f"Rows_{key}": {"anyOf": [several, wrapped, of_row]},
        f"Answer_{key}": _answer_schema(model),
    }


def _column_schema(column: ServedColumn) -> _Schema:
    types = [_KINDS.get(column.kind, "string"), "null"]
    schema: _Schema = {"type": types, "description": column.takes, "x-kind": str(column.kind)}
    if column.kind in (Kind.IMAGE, Kind.AUDIO):
        schema["contentEncoding"] = "base64"
    if column.known:
        shown = ", ".join(column.known[:_MAX_SHOWN])
        schema["description"] += f". Known are {shown}" + (", …" if len(column.known) > _MAX_SHOWN else "")
    examples = column.known[:_MAX_SHOWN] or (column.example,)
    if examples[0] is not None:
        schema["examples"] = list(examples)
    return schema


def _answer_schema(model: ServedModel) -> _Schema:
    predictor = model.described
    numbers: _Schema = {"type": "object", "additionalProperties": {"type": ["number", "null"]}}
    one: _Schema = {"type": ["number", "null"]}
    if predictor.labels is not None:
        kinds = {bool: "boolean", int: "integer", str: "string"}
        one = {"type": kinds[type(predictor.labels[0])]}
    if predictor.task.several:
        one = {"type": "object", "additionalProperties": {"type": "boolean"}}
    elif predictor.answer == "forecast":
        one = {"type": "array", "items": one}
    properties: dict[str, _Schema] = {
        "model_name": _TEXT,
        "model_version": _TEXT,
    }
    required = list(properties)  # outputs may be asked for by name, and others are left out then
    properties["predictions"] = {"type": "array", "items": one}
    for name in model.output_names:
        if name == "probabilities":
            properties[name] = {"type": "array", "items": numbers}
        elif name == "set":
            properties["sets"] = {"type": "array", "items": {"type": "array", "items": _TEXT}}
        elif name != predictor.answer:
            properties[name] = {"type": "array"}
    return {
        "type": "object",
        "title": f"An answer of {model.name}",
        "required": required,
        "properties": properties,
    }
