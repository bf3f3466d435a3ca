"""Every malformed file gets exactly the problems written beside it: place, width, words and hint.

`fixtures/broken*/expected.txt` lists them: the name of a file, then one problem a line as
`line:column+width message -> hint`.
"""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from lab.errors import ExitCode, SpecError, UsageError
from lab.loading import load_experiment, load_topology
from lab.loading.document import parse_document

from .loading_support import FIXTURES, KINDS, brief


def _expected(folder: str) -> dict[str, list[str]]:
    blocks = (FIXTURES / folder / "expected.txt").read_text("utf-8").strip().split("\n\n")
    return {lines[0]: [line.strip() for line in lines[1:]] for lines in map(str.splitlines, blocks)}


EXPERIMENTS = _expected("broken")
TOPOLOGIES = _expected("broken-topologies")


@pytest.mark.parametrize("name", sorted(EXPERIMENTS))
def test_experiment_mistakes(name: str, monkeypatch: pytest.MonkeyPatch):
    """A malformed experiment yields exactly these problems, all at once."""
    monkeypatch.chdir(FIXTURES)
    with pytest.raises(SpecError) as caught:
        load_experiment(Path("broken") / f"{name}.yaml", KINDS)
    assert [brief(problem) for problem in caught.value.problems] == EXPERIMENTS[name]
    assert caught.value.exit_code is ExitCode.BAD_INPUT


@pytest.mark.parametrize("name", sorted(TOPOLOGIES))
def test_topology_mistakes(name: str, monkeypatch: pytest.MonkeyPatch):
    """A malformed Compose file yields exactly these problems, all at once."""
    monkeypatch.chdir(FIXTURES)
    with pytest.raises(SpecError) as caught:
        load_topology(Path("broken-topologies") / f"{name}.yaml", name)
    assert [brief(problem) for problem in caught.value.problems] == TOPOLOGIES[name]


@pytest.mark.parametrize("folder", ["broken", "broken-topologies"])
def test_every_fixture_is_expected(folder: str):
    """No malformed file lies about untested."""
    files = {file.stem for file in (FIXTURES / folder).glob("*.yaml")}
    assert files == set(EXPERIMENTS if folder == "broken" else TOPOLOGIES)


def test_problem_is_drawn_under_its_word(monkeypatch: pytest.MonkeyPatch):
    """A problem prints its line, a caret under the word and the hint behind it."""
    monkeypatch.chdir(FIXTURES)
    with pytest.raises(SpecError) as caught:
        load_experiment(Path("broken/fault-misspelt-field.yaml"), KINDS)
    assert str(caught.value).splitlines() == [
        "broken/fault-misspelt-field.yaml:13:32: error: unknown key `dealy` in `latency`",
        "   13 |   - latency: {link: app -> db, dealy: 200ms}",
        "      |                                ^^^^^ did you mean `delay`?",
    ]


def test_missing_file():
    """A file that is not there is a mistake of usage, not a traceback."""
    with pytest.raises(UsageError, match=r"there is no file .*nowhere\.yaml"):
        load_experiment(FIXTURES / "nowhere.yaml", KINDS)
    with pytest.raises(UsageError):
        load_experiment(FIXTURES / "nowhere.py", KINDS)
    with pytest.raises(UsageError, match="cannot be read"):
        load_topology(FIXTURES, "a-folder")


def test_not_utf_8(tmp_path: Path):
    """Bytes that are no text are said to be none."""
    (tmp_path / "x.yaml").write_bytes(b"question: \xff\xfe")
    with pytest.raises(SpecError, match="not UTF-8 text at byte 10"):
        load_experiment(tmp_path / "x.yaml", KINDS)


@pytest.mark.parametrize("text", ["[" * 1500, "a: \x01", "%YAML 9\n---\na: 1", "a: 1\n---\nb: 2"])
def test_hostile_yaml(text: str):
    """What no YAML parser takes is one problem."""
    with pytest.raises(SpecError):
        parse_document(text, "hostile.yaml")


def test_aliases_of_aliases_do_not_grow_without_bound():
    """A few lines of aliases that would unfold to millions of values are refused, and quickly."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    start_s = time.monotonic()
    with pytest.raises(SpecError, match="too big"):
        parse_document("\n".join(lines), "bomb.yaml")
    assert time.monotonic() - start_s < 10
