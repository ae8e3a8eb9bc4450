"""What a service class offers: its methods with what they take and give, read from annotations and docstrings."""

from __future__ import annotations

import inspect
import typing
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lepton.core import ErrorCode, ServingError, UsageError, Work, printable
from lepton.serving.services.annotations import Kind, check_names, kind_of, object_schema
from lepton.serving.services.base import MethodOptions, Service, options_of

__all__ = ["Handler", "describe", "handlers_of"]

_STREAMS = (Iterator, Iterable, Generator, AsyncIterator, AsyncIterable, AsyncGenerator)


@dataclass(frozen=True, slots=True)
class Handler:
    """One method that callers may call.

    Attributes:
        name: of the method.
        options: how it is called.
        parameters: what each takes, in order.
        needed: those without a default.
        defaults: the values of the others.
        result: what it gives.
        work: name of the parameter that takes a `Work`, if there is one.
        doc: its docstring.
        stream: whether it gives items one by one; `result` is what each is.
    """

    name: str
    options: MethodOptions
    parameters: Mapping[str, Kind]
    needed: frozenset[str]
    defaults: Mapping[str, Any]
    result: Kind
    work: str | None
    doc: str
    stream: bool = False

    def read(self, values: Any) -> dict[str, Any]:
        """Arguments of one call from its JSON; `ServingError` where they do not fit."""
        if not isinstance(values, dict):
            raise ServingError(
                ErrorCode.BAD_REQUEST,
                "the body is no JSON object",
                wanted="an object with a value for each parameter: " + (", ".join(self.parameters) or "none"),
            )
        check_names(values, dict(self.parameters), self.needed)
        return {**self.defaults, **{name: self.parameters[name].read(value, name) for name, value in values.items()}}

    def to_dict(self) -> dict[str, Any]:
        """The method as callers see it; parameters and result as JSON schema."""
        options = self.options
        return {
            "name": self.name,
            "doc": self.doc,
            "parameters": object_schema(dict(self.parameters), self.needed),
            "result": self.result.schema(),
            "batch": options.batch,
            "wait": options.wait,
            "timeout": options.timeout,
            "safe": options.safe,
            "task": options.task,
            "stream": self.stream,
        }


def handlers_of(cls: type[Service]) -> dict[str, Handler]:
    """The marked methods of a class, by name.

    Raises:
        UsageError: no method is marked, or one that cannot be called with named JSON values.
    """
    handlers = {}
    for name, function in inspect.getmembers(cls, inspect.isfunction):
        options = options_of(function)
        if options is not None:
            handlers[name] = _handler(f"{cls.__name__}.{name}", name, function, options)
    if not handlers:
        raise UsageError(
            ErrorCode.BAD_SERVICE,
            f"the service {cls.__name__} has no method to call",
            fix="mark at least one with @lepton.method",
        )
    return handlers


def describe(cls: type[Service], handlers: Mapping[str, Handler]) -> dict[str, Any]:
    """A service as the server sees it."""
    return {
        "doc": inspect.cleandoc(cls.__doc__ or ""),
        "threads": cls.threads,
        "methods": [handler.to_dict() for handler in handlers.values()],
    }


def _handler(where: str, name: str, function: Any, options: MethodOptions) -> Handler:
    if name.startswith("_"):
        raise UsageError(ErrorCode.BAD_SERVICE, f"{where} is marked, but its name says that it is private")
    if inspect.iscoroutinefunction(function):
        raise UsageError(ErrorCode.BAD_SERVICE, f"{where} is a coroutine", wanted="def and return, or yield")
    try:
        hints = typing.get_type_hints(function, include_extras=True)
    except NameError as error:
        raise UsageError(ErrorCode.BAD_SERVICE, f"an annotation of {where}: {printable(str(error))}") from None
    parameters, defaults, work = {}, {}, None
    for parameter in list(inspect.signature(function).parameters.values())[1:]:
        place = f"the parameter '{parameter.name}' of {where}"
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise UsageError(ErrorCode.BAD_SERVICE, f"{place} has no name to call it by", wanted="named parameters")
        if parameter.name not in hints:
            raise UsageError(ErrorCode.BAD_SERVICE, f"{place} has no annotation", fix="say its type, or Any")
        if hints[parameter.name] is Work:
            work = parameter.name
            continue
        parameters[parameter.name] = kind_of(hints[parameter.name], place)
        if parameter.default is not parameter.empty:
            defaults[parameter.name] = parameter.default
    stream, annotation = _items_in(hints.get("return", Any))
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        if not stream and annotation is not Any:
            raise UsageError(
                ErrorCode.BAD_SERVICE,
                f"{where} yields, and its annotation is of one result",
                wanted="-> Iterator[…], with the type of an item",
            )
        stream = True
    if stream and (options.batch is not None or options.task):
        raise UsageError(
            ErrorCode.BAD_SERVICE,
            f"{where} gives items one by one, and is a batch or a task",
            fix="leave out batch and task",
        )
    result = kind_of(annotation, f"the result of {where}")
    needed = frozenset(parameters.keys() - defaults.keys())
    doc = inspect.cleandoc(function.__doc__ or "")
    return Handler(name, options, parameters, needed, defaults, result, work, doc, stream)


def _items_in(annotation: Any) -> tuple[bool, Any]:
    """Whether a result is given item by item, and the annotation of one."""
    if (typing.get_origin(annotation) or annotation) not in _STREAMS:
        return False, annotation
    return True, next(iter(typing.get_args(annotation)), Any)
