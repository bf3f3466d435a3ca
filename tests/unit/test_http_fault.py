"""The `http` fault: what it takes, what it says, and what its counts must be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from lab.errors import SpecError
from lab.faults import KINDS
from lab.faults.http import Http
from lab.loading import load_experiment
from lab.plan import deploy
from lab.proxies.interceptor.heads import NotHttpError, request_head, response_head
from lab.proxies.interceptor.rules import Rule, Rules
from lab.proxies.striking import HttpRule, Strikes

PROJECT = Path(__file__).resolve().parents[2]


def http(**settings: Any) -> Http:
    return Http.model_validate({"link": "app -> inventory", **settings})


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        (
            {"status": "503", "share": "20%", "method": "POST", "path": "/orders/*"},
            "503 for 20 % of POST /orders/* on app -> inventory",
        ),
        (
            {"status": "500", "first": "2", "delay": "1s"},
            "delay 1 s and 500 for the first 2 requests on app -> inventory",
        ),
        (
            {"truncate": "60B", "path": "/a"},
            "answers cut after 60 B for /a on app -> inventory",
        ),
    ],
)
def test_it_says_what_is_broken(settings, text):
    assert http(**settings).describe() == text


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({}, "has a `status`, a `delay` or a `truncate`"),
        ({"status": 503, "truncate": "1B"}, "nothing is to `truncate`"),
        ({"delay": "1s", "body": "x"}, "are of an answer with `status`"),
        ({"status": 503, "first": 1, "share": "5%"}, "write one of them"),
        ({"status": 503, "method": "post"}, "is not a method"),
        ({"status": 503, "path": "orders"}, "is not a path"),
        ({"status": 503, "path": "/a?b=1"}, "is not a path"),
        ({"delay": "0s"}, "longer than nothing"),
        ({"status": 99}, "greater than or equal to 200"),
        ({"status": 503, "share": "0%"}, "greater than 0"),
    ],
)
def test_what_makes_no_sense_is_refused(settings, why):
    with pytest.raises(ValidationError, match=why):
        http(**settings)


@pytest.mark.parametrize(
    ("settings", "count", "is_as_meant"),
    [
        ({"status": 503}, (0, 0, 0), True),
        ({"status": 503}, (9, 0, 0), False),
        ({"status": 503}, (9, 5, 5), True),
        ({"status": 503}, (9, 5, 4), False),
        ({"status": 503, "first": 2}, (9, 1, 1), True),
        ({"status": 503, "first": 2}, (9, 5, 2), True),
        ({"status": 503, "first": 2}, (9, 5, 3), False),
        ({"status": 503, "share": "20%"}, (9, 9, 0), True),
        ({"status": 503, "share": "20%"}, (5000, 5000, 1010), True),
        ({"status": 503, "share": "20%"}, (5000, 5000, 1300), False),
        ({"status": 503, "share": "20%"}, (90, 90, 0), False),
        ({"truncate": "1B"}, (9, 5, 3), True),
        ({"truncate": "1B"}, (9, 5, 0), False),
    ],
)
def test_the_counts_must_agree(settings, count, is_as_meant):
    assert http(**settings).is_as_meant(Strikes(*count)) == is_as_meant


EXPERIMENT = """
question: What do half the answers do?
phase: reliability
topology: {topology}
load: {{rate: 50/s, requests: [{{get: /, name: front}}]}}
timeline: {{baseline: 8s, fault: 12s, recovery: 15s}}
faults:
  - http: {{link: {link}, status: 503}}
designs:
  naive: {{breaks: [p99 < 1s during fault]}}
  better: {{holds: [p99 < 1s during fault]}}
lesson: None.
seed: 7
"""


def test_links_are_prepared_for_the_faults_that_name_them(tmp_path):
    """And the run's seed is there for what chance decides."""
    deployment = deploy(_loaded(tmp_path, "shop", "app -> inventory"))
    assert deployment.intercepted == {
        "naive/app-1 -> inventory-1:8000",
        "better/app-1 -> inventory-1:8000",
    }
    assert deployment.seed == 7


def test_a_link_without_http_is_refused_in_the_file(tmp_path):
    """PostgreSQL speaks its own protocol: said at the line, before anything starts."""
    with pytest.raises(SpecError) as caught:
        _loaded(tmp_path, "url-shortener", "app -> db")
    (problem,) = caught.value.problems
    assert problem.message == "`app -> db:5432` carries no HTTP: port 5432 is PostgreSQL's"
    assert problem.source_line.strip().startswith("- http:")
    assert "latency" in problem.hint


def _loaded(tmp_path, topology, link):
    (tmp_path / "topologies").symlink_to(PROJECT / "topologies")
    file = tmp_path / "one.yaml"
    file.write_text(EXPERIMENT.format(topology=topology, link=link))
    return load_experiment(file, KINDS)


HEAD = b"%s HTTP/1.1\r\nHost: x\r\n%s\r\n"


@pytest.mark.parametrize(
    ("target", "path"),
    [
        (b"/a/b?c=d", "/a/b"),
        (b"http://x:80/a?b", "/a"),
        (b"http://x", "/"),
        (b"*", "*"),
        (b"/a%20b", "/a%20b"),
    ],
)
def test_the_path_of_a_request(target, path):
    assert request_head(HEAD % (b"GET " + target, b"")).path == path


@pytest.mark.parametrize(
    "raw",
    [
        HEAD % (b"GET /", b"Content-Length: 1\r\nContent-Length: 2\r\n"),
        HEAD % (b"GET /", b"Content-Length: -1\r\n"),
        HEAD % (b"POST /", b"Transfer-Encoding: gzip\r\n"),
        HEAD % (b"G(T /", b""),
        b"GET /\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
    ],
)
def test_what_is_no_request(raw):
    with pytest.raises(NotHttpError):
        request_head(raw)


@pytest.mark.parametrize(
    ("lines", "method", "kind"),
    [
        (b"200 OK\r\nContent-Length: 5\r\n", "GET", "Length"),
        (b"200 OK\r\nContent-Length: 5\r\n", "HEAD", None),
        (b"200 OK\r\nContent-Length: 0\r\n", "GET", None),
        (b"204 No Content\r\n", "GET", None),
        (b"304 Not Modified\r\nContent-Length: 5\r\n", "GET", None),
        (b"200 OK\r\nTransfer-Encoding: gzip, Chunked\r\n", "GET", "Chunked"),
        (b"200 OK\r\nTransfer-Encoding: gzip\r\n", "GET", "UntilClose"),
        (b"200\r\n", "GET", "UntilClose"),
    ],
)
def test_how_long_an_answer_is(lines, method, kind):
    """RFC 9112, 6.3."""
    body = response_head(b"HTTP/1.1 " + lines + b"\r\n").body(method)
    assert (type(body).__name__ if body else None) == kind


def test_the_first_rule_that_strikes_acts():
    """Each counts what it is about; one that is armed again keeps its counts."""
    rules = Rules()
    rules.arm(Rule(HttpRule("a", path="/a*", first=1, status=500)))
    rules.arm(Rule(HttpRule("b", method="GET", status=502)))
    struck = [rules.striking(request_head(HEAD % (b"GET /a1", b""))) for _ in range(2)]
    assert [rule.spec.name for rule in struck if rule] == ["a", "b"]
    assert rules.striking(request_head(HEAD % (b"PUT /b", b""))) is None
    rules.arm(Rule(HttpRule("a", path="/a*", first=1, status=500)))
    assert rules.counts("a") == Strikes(3, 2, 1)
    rules.disarm("a")
    assert rules.counts("a") == Strikes(3, 2, 1)
    assert rules.counts("b") == Strikes(2, 1, 1)
    assert rules.counts("c") is None


def test_a_path_is_no_regular_expression():
    """Only `*` means something."""
    rule = Rule(HttpRule("r", path="/a.b/*/[c]"))
    assert rule.matches("GET", "/a.b/x/y/[c]")
    assert not rule.matches("GET", "/aXb/x/[c]")
    assert not rule.matches("GET", "/a.b/x/c")
