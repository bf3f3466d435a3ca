"""A YAML file as texts, lists and mappings, with the position of every key and value.

Every scalar stays the text that the author wrote: `100` never becomes a number on the way, so a
missing unit is noticed where the unit belongs. `typed` holds the same tree with YAML's own types,
for the JSON schema of Compose. Mistakes of form (duplicate keys, tags, odd keys) are gathered in
`problems`; a file that cannot be read at all raises.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from lab.errors import Problem, SpecError, UsageError

KeyPath = tuple[str | int, ...]
"""Where a value is: `("designs", "pool", "holds", 0)`."""

_STANDARD_TAG = "tag:yaml.org,2002:"
_START = "docs/adding/ says what stands in an experiment and in a topology"
_MOST_NODES = 100_000
"""Aliases of aliases can make a small file huge; nothing the lab reads comes near this."""


@dataclass(frozen=True, slots=True)
class Spot:
    """A place in a file; lines and columns count from 1, `width` stays on the first line."""

    line: int
    column: int
    width: int
    last_line: int


@dataclass(slots=True)
class Document:
    """A file that was read. `data` holds texts, `typed` the values that YAML sees in them."""

    file: str
    text: str
    path: Path | None = None
    data: Any = None
    typed: Any = None
    problems: list[Problem] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    keys: dict[KeyPath, Spot] = field(default_factory=dict)
    values: dict[KeyPath, Spot] = field(default_factory=dict)

    def at(self, path: KeyPath) -> Any:
        """The value at a path, None where there is none."""
        value = self.data
        for step in path:
            try:
                value = value[step]
            except (KeyError, IndexError, TypeError):
                return None
        return value

    def words(self, path: KeyPath) -> list[str]:
        """The keys of the mapping at a path, none where there is no mapping."""
        value = self.at(path)
        return list(value) if isinstance(value, dict) else []

    def has(self, path: KeyPath) -> bool:
        """Whether the file has something there, be it empty."""
        return path in self.values

    def spot(self, path: KeyPath, *, key: bool = False) -> Spot:
        """Where a value (or its key) stands; what is missing is shown at the key it belongs to."""
        while True:
            first, second = (self.keys, self.values) if key else (self.values, self.keys)
            if found := first.get(path) or second.get(path):
                return found
            if not path:
                return Spot(1, 1, 1, 1)
            path, key = path[:-1], True

    def problem(
        self, path: KeyPath, message: str, hint: str = "", *, key: bool = False, word: str = ""
    ) -> Problem:
        """A mistake at a path; `word` narrows the caret to that word of the value."""
        spot = self.spot(path, key=key)
        if word:
            spot = self._narrowed(spot, word)
        return self.problem_at(spot, message, hint)

    def problem_at(self, spot: Spot, message: str, hint: str = "") -> Problem:
        """A mistake at a place that has no path."""
        line = self.lines[spot.line - 1] if spot.line <= len(self.lines) else ""
        width = max(1, min(spot.width, len(line) - spot.column + 1))
        shown = "".join(c if c.isprintable() else " " for c in line)
        return Problem(
            self.file, spot.line, spot.column, _printable(message), shown, width, _printable(hint)
        )

    def _narrowed(self, spot: Spot, word: str) -> Spot:
        pattern = re.compile(rf"(?<![\w.-]){re.escape(word)}(?![\w-])")
        for line in range(spot.line, min(spot.last_line, len(self.lines)) + 1):
            start = spot.column - 1 if line == spot.line else 0
            if match := pattern.search(self.lines[line - 1], start):
                return Spot(line, match.start() + 1, len(word), line)
        return spot


def read_document(path: Path) -> Document:
    """Read and parse a file.

    Raises:
        UsageError: there is no such file, or it may not be read.
        SpecError: it is not YAML, or not a mapping.
    """
    file = shown(path)
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise UsageError(
            f"there is no file {file}", remedy="`lab list` shows what there is"
        ) from None
    except UnicodeDecodeError as error:
        message = f"not UTF-8 text at byte {error.start}"
        raise SpecError([Problem(file, 1, 1, message, hint="save the file as UTF-8")]) from None
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from None
    return parse_document(text, file, path)


def shown(path: Path) -> str:
    """How a file is named to a person: relative to where they are, when it is below that."""
    try:
        return str(path.resolve().relative_to(Path.cwd().resolve()))
    except (ValueError, OSError):
        return str(path)


def parse_document(text: str, file: str, path: Path | None = None) -> Document:
    """Parse YAML text.

    Raises:
        SpecError: it is not YAML, or not a mapping.
    """
    # Only what YAML calls a line break ends a line here, or positions would drift.
    document = Document(file, text, path, lines=re.split(r"\r\n|[\r\n\x85\u2028\u2029]", text))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an anchor defined twice is legal YAML
            root = YAML(typ="safe", pure=True).compose(text)
        if root is None:
            raise SpecError([document.problem((), "the file is empty", _START)])
        if not isinstance(root, MappingNode):
            raise SpecError([document.problem((), "write a mapping here: lines of `key: value`")])
        document.data, document.typed = _Walk(document).value(root, ())
    except RecursionError:
        raise SpecError([document.problem((), "nested too deeply")]) from None
    except (YAMLError, ValueError) as error:
        raise SpecError([_syntax_problem(document, error)]) from None
    return document


def _printable(text: str) -> str:
    """Control characters that an author escaped in YAML stay escaped on the reader's terminal."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def _syntax_problem(document: Document, error: Exception) -> Problem:
    """What the YAML parser stumbled over, said in the author's terms."""
    mark = error.problem_mark if isinstance(error, MarkedYAMLError) else None
    if mark is None:
        reason = str(getattr(error, "reason", error)).splitlines()[0]
        before = document.text[: getattr(error, "position", 0) or 0]
        line, column = before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
        return document.problem_at(Spot(line, column, 1, line), f"not YAML: {reason}")
    spot = Spot(mark.line + 1, mark.column + 1, 1, mark.line + 1)
    what = str(getattr(error, "problem", None) or error)
    line_text = document.lines[mark.line] if mark.line < len(document.lines) else ""
    if "'\\t'" in what:
        return document.problem_at(
            spot, "YAML cannot start anything with a tab", "indent with spaces"
        )
    opened = getattr(error, "context_mark", None)
    if opened is not None and ("end of stream" in what or "<stream end>" in what):
        start = Spot(opened.line + 1, opened.column + 1, 1, opened.line + 1)
        return document.problem_at(start, "not YAML: what opens here is never closed")
    hint = ""
    if "mapping values are not allowed" in what or re.search(r"[{}\[\]]", line_text):
        hint = (
            "put quotes around text that holds any of : { } [ ] , # or starts with one of @ ` % &"
        )
    return document.problem_at(spot, f"not YAML: {what}", hint)


class _Walk:
    """Turns the parser's nodes into values and notes where each stands."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._open: list[int] = []
        self._nodes = 0

    def value(self, node: Node, path: KeyPath) -> tuple[Any, Any]:
        """The node as texts, and typed."""
        self._nodes += 1
        if self._nodes > _MOST_NODES:
            raise ValueError("the file is too big once its aliases are written out")
        self._document.values[path] = self._spot(node, path)
        if not str(node.tag).startswith(_STANDARD_TAG):
            self._wrong(path, f"the tag `{node.tag}` is not known here", "delete it")
        if isinstance(node, ScalarNode):
            return _scalar(node)
        if id(node) in self._open:
            message = "this holds an alias of itself"
            raise SpecError([self._document.problem_at(self._place(node), message)])
        self._open.append(id(node))
        try:
            return (
                self._items(node, path) if isinstance(node, SequenceNode) else self._map(node, path)
            )
        finally:
            self._open.pop()

    def _items(self, node: SequenceNode, path: KeyPath) -> tuple[list[Any], list[Any]]:
        pairs = [self.value(item, (*path, index)) for index, item in enumerate(node.value)]
        return [text for text, _ in pairs], [typed for _, typed in pairs]

    def _map(self, node: Node, path: KeyPath) -> tuple[dict[str, Any], dict[str, Any]]:
        data: dict[str, Any] = {}
        typed: dict[str, Any] = {}
        merged: list[Node] = []
        for key, value in node.value:
            if _merges(key):
                merged.append(value)
            elif not isinstance(key, ScalarNode):
                self._wrong_at(key, "a key must be a word", "quote text that starts with { or [")
            elif str(key.value) in data:
                first = self._document.spot((*path, key.value), key=True).line
                self._wrong_at(key, f"`{key.value}` stands here twice", f"first in line {first}")
            else:
                self._pair(key, value, path, data, typed)
        for source in merged:
            self._merge(source, path, data, typed)
        return data, typed

    def _pair(
        self,
        key: ScalarNode,
        value: Node,
        path: KeyPath,
        data: dict[str, Any],
        typed: dict[str, Any],
    ) -> None:
        name = str(key.value)
        self._document.keys[(*path, name)] = self._place(key)
        data[name], typed[name] = self.value(value, (*path, name))

    def _merge(
        self, source: Node, path: KeyPath, data: dict[str, Any], typed: dict[str, Any]
    ) -> None:
        """YAML's `<<: *other`: keys of the other mapping that this one does not write itself."""
        for node in source.value if isinstance(source, SequenceNode) else [source]:
            if not isinstance(node, MappingNode):
                self._wrong_at(node, "`<<` takes in a mapping", "write `<<: *name`")
                continue
            for key, value in _pairs(node):
                if str(key.value) not in data:
                    self._pair(key, value, path, data, typed)

    def _spot(self, node: Node, path: KeyPath) -> Spot:
        """A value's place; of a block that spans lines, or of nothing, its key's place."""
        unwritten = isinstance(node, ScalarNode) and node.start_mark.index == node.end_mark.index
        if path in self._document.keys and (_is_block(node) or unwritten):
            return self._document.keys[path]
        return self._place(node)

    @staticmethod
    def _place(node: Node) -> Spot:
        start, end = node.start_mark, node.end_mark
        one_line = start.line == end.line
        width = max(1, end.column - start.column) if one_line else 10_000
        if _is_block(node) and node.value:
            first = node.value[0][0] if isinstance(node, MappingNode) else node.value[0]
            width = max(1, first.end_mark.column - start.column) if not _is_block(first) else 1
        return Spot(start.line + 1, start.column + 1, width, end.line + 1)

    def _wrong(self, path: KeyPath, message: str, hint: str) -> None:
        self._document.problems.append(self._document.problem(path, message, hint))

    def _wrong_at(self, node: Node, message: str, hint: str) -> None:
        problem = self._document.problem_at(self._place(node), message, hint)
        self._document.problems.append(problem)


def _pairs(node: MappingNode) -> Iterator[tuple[ScalarNode, Node]]:
    """Keys and values of a mapping that is merged in: its own, then those it merges in itself."""
    for key, value in node.value:
        if isinstance(key, ScalarNode) and not _merges(key):
            yield key, value
    for key, value in node.value:
        if _merges(key):
            for source in value.value if isinstance(value, SequenceNode) else [value]:
                yield from _pairs(source) if isinstance(source, MappingNode) else ()


def _merges(key: Node) -> bool:
    return str(key.tag) == f"{_STANDARD_TAG}merge"


def _is_block(node: Node) -> bool:
    return isinstance(node, MappingNode | SequenceNode) and not node.flow_style


def _scalar(node: ScalarNode) -> tuple[str | None, Any]:
    """The text as written, None for nothing, and what YAML takes it for."""
    text, kind = str(node.value), str(node.tag).removeprefix(_STANDARD_TAG)
    try:
        match kind:
            case "null":
                return None, None
            case "bool":
                return text, text.lower() == "true"
            case "int":
                return text, int(
                    text.replace("_", ""), 0 if text.lstrip("+-")[:2] in _BASES else 10
                )
            case "float":
                return text, float(text.replace("_", ""))
    except ValueError:
        pass
    return text, text


_BASES = ("0x", "0o", "0b")
