"""Reads parts of a document into models and goes on after a mistake, to find all of them at once.

A mistake that pydantic finds is said in the author's terms and put at the position of the value,
or of the key that something is missing under. An unknown key and a missing one that look alike are
one mistake: a slip of the pen.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from lab.claims import MEASURES
from lab.errors import Problem, SpecError
from lab.loading.document import Document, KeyPath
from lab.loading.hints import did_you_mean, nearest

M = TypeVar("M", bound=BaseModel)

_WANTED = {
    "string_type": "write a text here",
    "dict_type": "write a mapping here: `key: value`",
    "model_type": "write a mapping here: `key: value`",
    "model_attributes_type": "write a mapping here: `key: value`",
    "list_type": "write a list here: [one, two]",
    "tuple_type": "write a list here: [one, two]",
    "int_parsing": "write a whole number",
    "int_type": "write a whole number",
    "float_parsing": "write a number",
    "float_type": "write a number",
    "bool_parsing": "write true or false",
    "bool_type": "write true or false",
    "finite_number": "write a finite number",
}
_LIMITS = {
    "greater_than": ("gt", "more than {}"),
    "greater_than_equal": ("ge", "at least {}"),
    "less_than": ("lt", "less than {}"),
    "less_than_equal": ("le", "at most {}"),
}


_QUOTED = re.compile(r"`([^`]+)`")
_NOT_A_MEASURE = re.compile(r"(`[^`]+` is not a measure); there are")


class Reader:
    """A document and the mistakes found in it so far."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.problems: list[Problem] = list(document.problems)

    def wrong(
        self, path: KeyPath, message: str, hint: str = "", *, key: bool = False, word: str = ""
    ) -> None:
        """Note a mistake; the same one at the same place is noted once."""
        problem = self.document.problem(path, message, hint, key=key, word=word)
        if problem not in self.problems:
            self.problems.append(problem)

    def unfit(self, path: KeyPath, error: ValueError) -> None:
        """Note a text that one of the lab's own parsers refused."""
        text = str(error)
        word = match[1] if (match := _QUOTED.search(text)) else ""
        if match := _NOT_A_MEASURE.match(text):
            self.wrong(path, match[1], did_you_mean(word, MEASURES), word=word)
        else:
            self.wrong(path, *_split(text), word=word)

    def empty(self, path: KeyPath) -> None:
        """Note a key with nothing behind it."""
        subject = f"`{path[-1]}`" if path and isinstance(path[-1], str) else "this"
        self.wrong(path, f"{subject} is empty", "write a value, or delete it", key=True)

    def finish(self) -> None:
        """Raise when anything was wrong, in the order of the file.

        Raises:
            SpecError: with every mistake.
        """
        if self.problems:
            raise SpecError(sorted(self.problems, key=lambda p: (p.file, p.line, p.column)))

    def mapping(self, path: KeyPath) -> dict[str, Any]:
        """The mapping at a path; empty, and noted, when something else is there."""
        value = self.document.at(path)
        if isinstance(value, dict):
            return value
        if value is None and self.document.has(path):
            self.empty(path)
        elif self.document.has(path):
            self.wrong(path, _not_a("mapping", path, value), "write `key: value` lines under it")
        return {}

    def items(self, path: KeyPath) -> list[Any]:
        """The list at a path; empty, and noted, when something else is there."""
        value = self.document.at(path)
        if isinstance(value, list):
            return value
        if value is None and self.document.has(path):
            self.empty(path)
        elif self.document.has(path):
            self.wrong(path, _not_a("list", path, value), "write [one, two], or `- ` lines")
        return []

    def fields(
        self, form: type[BaseModel], path: KeyPath, *, later: Collection[str] = ()
    ) -> dict[str, Any]:
        """The good fields of a mapping, by the names of the form; everything else is noted.

        Fields named in `later` are left to the caller, who reads them piece by piece.
        """
        data = self.mapping(path)
        names = _names(form)
        self._keys(data, form, path)
        good: dict[str, Any] = {}
        for key, value in data.items():
            if key not in names:
                continue
            if value is None:
                self.empty((*path, key))
            elif names[key] not in later:
                good |= self.field(form, names[key], (*path, key), value)
        return good

    def field(
        self, form: type[BaseModel], name: str, path: KeyPath, value: object
    ) -> dict[str, Any]:
        """One field of a form, as `{name: value}`; empty, and noted, when it does not fit."""
        adapter: TypeAdapter[Any] = TypeAdapter(form.model_fields[name].rebuild_annotation())
        try:
            return {name: adapter.validate_python(value)}
        except ValidationError as error:
            for detail in error.errors():
                self._note(detail, path)
            return {}

    def model(
        self,
        model: type[M],
        path: KeyPath,
        data: Mapping[str, Any] | None = None,
        *,
        also: Collection[str] = (),
    ) -> M | None:
        """A whole model from a mapping; None, with every mistake noted, when it is not one.

        `also` are further words that could stand there, for the hint at an unknown one.
        """
        data = self.mapping(path) if data is None else data
        names = _names(model)
        before = len(self.problems)
        self._keys(data, model, path, also)
        unwritten = [key for key in names if key in data and data[key] is None]
        for key in unwritten:
            self.empty((*path, key))
        try:
            return model.model_validate(dict(data))
        except ValidationError as error:
            for detail in error.errors():
                top_level = len(detail["loc"]) == 1
                if top_level and detail["type"] in ("missing", "extra_forbidden"):
                    continue
                if detail["loc"] and detail["loc"][0] in unwritten:
                    continue
                self._note(detail, path)
            if len(self.problems) == before:
                self.wrong(path, f"not a {model.__name__.lower()}: it has {', '.join(names)}")
            return None

    def _keys(
        self,
        data: Mapping[str, Any],
        form: type[BaseModel],
        path: KeyPath,
        also: Collection[str] = (),
    ) -> None:
        """Note unknown keys and missing ones."""
        names = _names(form)
        missing = [
            key
            for key, name in names.items()
            if form.model_fields[name].is_required() and key not in data
        ]
        for key in data:
            if key in names:
                continue
            slip = nearest(key, missing)
            if slip:
                missing.remove(slip)
            unused = [name for name in (*names, *also) if name not in data]
            hint = f"did you mean `{slip}`?" if slip else did_you_mean(key, unused)
            self.wrong((*path, key), f"unknown key `{key}`{_in(path)}", hint, key=True)
        for key in missing:
            field = form.model_fields[names[key]]
            example = f", like {key}: {_flow(field.examples[0])}" if field.examples else ""
            self.wrong(path, f"`{key}` is missing{_in(path)}", f"add it{example}", key=True)

    def _note(self, detail: ErrorDetails, path: KeyPath) -> None:
        """One of pydantic's mistakes, at the deepest place that the file really has."""
        full = path
        for step in detail["loc"]:
            if not self.document.has((*full, step)):
                break
            full = (*full, step)
        message, hint = said(detail)
        self.wrong(full, message, hint, key=detail["type"] in ("missing", "extra_forbidden"))


def said(detail: ErrorDetails) -> tuple[str, str]:
    """Message and hint for one of pydantic's mistakes."""
    kind, context, value = detail["type"], detail.get("ctx", {}), detail["input"]
    last = detail["loc"][-1] if detail["loc"] else ""
    written = f"`{value}`" if isinstance(value, str | int | float) else "this"
    if kind == "literal_error":
        expected = str(context["expected"]).replace(" or ", ",").split(",")
        hint = did_you_mean(str(value), [word.strip(" '") for word in expected])
        return f"{written} is not known here", hint
    if kind in _LIMITS:
        limit, words = _LIMITS[kind]
        return f"{written} is out of range: it must be {words.format(context[limit])}", ""
    by_kind = {
        "value_error": _split(str(context.get("error", ""))),
        "missing": (f"`{last}` is missing", "add it"),
        "extra_forbidden": (f"unknown key `{last}`", ""),
        "too_short": (f"at least {context.get('min_length')} wanted here", ""),
        "too_long": (f"at most {context.get('max_length')} wanted here", ""),
        "string_pattern_mismatch": (f"{written} cannot be a name", "use letters, digits and -"),
    }
    return by_kind.get(kind, (f"{written} does not fit", _WANTED.get(kind, detail["msg"].lower())))


def _split(text: str) -> tuple[str, str]:
    """What is wrong, and what to write: the lab's own messages have them around a colon."""
    message, colon, remedy = text.partition(": write ")
    return (message, f"write {remedy}") if colon else (text, "")


def _names(form: type[BaseModel]) -> dict[str, str]:
    """A form's fields by the words of the file."""
    return {field.alias or name: name for name, field in form.model_fields.items()}


def _flow(value: object) -> str:
    """An example as YAML in one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_flow(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_flow, value)) + "]"
    return str(value)


def _in(path: KeyPath) -> str:
    words = [str(step) for step in path if isinstance(step, str)]
    return f" in `{words[-1]}`" if words else ""


def _not_a(wanted: str, path: KeyPath, value: object) -> str:
    found = {"dict": "a mapping", "list": "a list"}.get(type(value).__name__, "a text")
    subject = f"`{path[-1]}`" if path and isinstance(path[-1], str) else "this"
    return f"{subject} must be a {wanted}, not {found}"


def known(names: Collection[str], word: str, what: str) -> tuple[str, str]:
    """Message and hint for a name that does not exist."""
    return f"there is no {what} `{word}`", did_you_mean(word, names)
