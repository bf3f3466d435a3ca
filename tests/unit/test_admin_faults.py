"""Faults that are somebody's orders: how they are written, refused, and what counts as proof."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lab.engines import Ended, Life
from lab.engines.signals import handling
from lab.errors import EngineError, InjectionError, SpecError
from lab.faults import KINDS
from lab.faults.base import Fault
from lab.loading import load_experiment
from lab.plan import Deployment, deploy_topology
from lab.topology import Link, Scrape, Service, Topology

FILE = """\
question: Who gave that order?
phase: reliability
topology: shop
load: {rate: 10/s, requests: [{get: /browse/1}]}
timeline: {baseline: 4s, fault: 8s, recovery: 4s}
designs:
  one: {holds: [p50 < 1s]}
  two: {holds: [p50 < 1s]}
lesson: None.
faults:
"""


class Inside:
    """A cluster whose instances run commands: each says what `says` has for it."""

    engine = "fake"

    def __init__(self, deployment: Deployment, says: dict[str, Ended]) -> None:
        self.deployment = deployment
        self.says = says
        self.ran: list[str] = []

    async def execute(self, instance: Any, command: Any, user: str | None = None) -> Any:
        return Session(self, " ".join(command).partition(" lab ")[2] or " ".join(command))


class Session:
    """One of its commands."""

    def __init__(self, inside: Inside, command: str) -> None:
        self.inside, self.command = inside, command

    async def write(self, text: str) -> None:
        """Nothing reads it here."""

    async def ended(self, timeout_s: float) -> Ended:
        self.inside.ran.append(self.command)
        return self.inside.says[self.command]

    async def close(self) -> None:
        """Nothing to close."""


def deployment(**changes: Any) -> Deployment:
    """Two apps."""
    services = {"app": Service("app", replicas=2, **changes)}
    return deploy_topology(Topology("t", services, (), Link("client", "app", 80)))


def fault(kind: str, **settings: Any) -> Fault:
    """A fault as a file writes it."""
    return KINDS[kind].model_validate({"service": "app", **settings})


@pytest.mark.parametrize(
    ("line", "place", "message"),
    [
        ('exec: {service: app, command: ["", x]}', '["", x]', "this command is empty"),
        ("exec: {service: app, command: []}", "[]", "at least 1 wanted here"),
        ("exec: {service: app}", "exec", "`command` is missing in `exec`"),
        ("exec: {service: app, command: ls}", "ls", "`ls` does not fit"),
        ("sql: {service: app, run: select 1, undoo: x}", "undoo", "unknown key `undoo` in `sql`"),
        ("promote: {service: dbb}", "dbb", "there is no service `dbb`"),
        ("promote: {service: app, server: mysql}", "mysql", "`mysql` is not known here"),
        ("signal: {service: app, signal: KILL}", "KILL", "`KILL` is not known here"),
        ("admin_request: {service: app, call: {}}", "{}}", "one method is wanted"),
        (
            "admin_request: {service: app, call: {get: /a, post: /b}}",
            "{get",
            "one method is wanted",
        ),
        ("admin_request: {service: app, call: {post: b}}", "{post", "`b` is not a path"),
        (
            "admin_request: {service: app, call: {post: /b}, undo: {pst: /b}}",
            "pst",
            "unknown key `pst`",
        ),
    ],
)
def test_mistakes_are_said_at_their_place(tmp_path: Path, line: str, place: str, message: str):
    """Line and column of what is wrong, and what is."""
    file = tmp_path / "orders.yaml"
    file.write_text(f"{FILE}  - {line}\n")
    with pytest.raises(SpecError) as caught:
        load_experiment(file, KINDS)
    found = [(problem.line, problem.column) for problem in caught.value.problems]
    assert message in str(caught.value)
    assert (11, 5 + line.index(place)) in found


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("exec", {"command": ["true"]}),
        ("sql", {"run": "select 1"}),
        ("admin_request", {"call": {"post": "/x"}}),
    ],
)
def test_what_has_no_undo_stays(kind: str, settings: dict[str, Any]):
    """And nothing has to be proved gone; with one it comes off."""
    undo = {"exec": ["true"], "sql": "select 1", "admin_request": {"post": "/x"}}[kind]
    assert fault(kind, **settings).permanent
    assert not fault(kind, **settings, undo=undo).permanent


async def test_a_command_must_succeed_everywhere_and_is_run_once_and_undone_once():
    """Twice is once; the undo runs where the command was begun."""
    inside = Inside(deployment(), {"do": Ended(0, "done\n"), "un": Ended(0, "")})
    one = fault("exec", command=["do"], undo=["un"])
    await one.inject(inside)
    await one.inject(inside)
    assert inside.ran == ["do", "do"]
    seen = await one.observe(inside)
    assert (seen.in_effect, seen.text) == (True, "exit code 0: done")
    await one.heal(inside)
    await one.heal(inside)
    assert inside.ran == ["do", "do", "un", "un"]
    assert (await one.observe(inside)).gone


async def test_a_command_that_fails_is_no_fault_and_is_undone_all_the_same():
    """It may have done half of it."""
    inside = Inside(deployment(), {"do": Ended(3, "no\nway"), "un": Ended(0, "")})
    one = fault("exec", command=["do"], undo=["un"])
    with pytest.raises(InjectionError, match=r"`do` in t/app-. failed with exit code 3: no way"):
        await one.inject(inside)
    assert not (await one.observe(inside)).in_effect
    await one.heal(inside)
    assert inside.ran.count("un") == 2


@pytest.mark.parametrize(
    ("check", "proved"),
    [(Ended(0, "role:master"), True), (Ended(0, "role:slave"), False), (Ended(1, "master"), False)],
)
async def test_a_check_is_what_counts(check: Ended, proved: bool):
    """Its exit code and the text that is expected, not that the command went well."""
    inside = Inside(deployment(), {"do": Ended(0, ""), "look": check})
    one = fault("exec", command=["do"], check=["look"], expect="master")
    await one.inject(inside)
    seen = await one.observe(inside)
    assert (seen.in_effect, seen.gone) == (proved, not proved)


@pytest.mark.parametrize(
    ("image", "why"),
    [
        ("postgres:17", ""),
        ("ghcr.io/x/postgres@sha256:0", ""),
        ("valkey/valkey:8.1", ""),
        ("redis", ""),
        ("mysql:9", "is none of postgres, valkey, redis"),
        ("postgrest/postgrest:12", ""),
    ],
)
async def test_what_cannot_be_promoted_is_refused_before_any_load(image: str, why: str):
    """By its image's name, unless the file says what it is."""
    inside = Inside(deployment(image=image), {})
    assert why in await refused(fault("promote"), inside)
    assert not why or await refused(fault("promote"), inside)
    assert await refused(fault("promote", server="postgres"), inside) == ""


async def test_an_admin_request_needs_a_port_for_it():
    """A service without metrics of its own has none."""
    request = fault("admin_request", call={"post": "/x"})
    assert "no port of its own" in await refused(request, Inside(deployment(), {}))
    exporter = deployment(scrape=Scrape(6379, exporter="redis"))
    assert "no port of its own" in await refused(request, Inside(exporter, {}))
    assert await refused(request, Inside(deployment(scrape=Scrape(8000)), {})) == ""


async def refused(one: Fault, inside: Inside) -> str:
    """Why it is refused before the load; "" when it is not."""
    try:
        await one.prepare(inside)
    except EngineError as error:
        return error.message
    return ""


STATUS = """Name:\tnginx
SigPnd:\t0000000000000000
ShdPnd:\t{pending}
SigBlk:\t{blocked}
SigIgn:\t0000000000001000
SigCgt:\t{caught}
"""
NONE = "0000000000000000"


@pytest.mark.parametrize(
    ("pending", "blocked", "caught", "found"),
    [
        (NONE, NONE, "0000000000000001", "caught"),
        (NONE, "fffffffffffffeff", NONE, "caught"),
        ("0000000000000001", NONE, "0000000000000001", "pending"),
        (NONE, NONE, "0000000000000002", "not caught"),
    ],
)
def test_the_kernel_s_masks_are_read(pending: str, blocked: str, caught: str, found: str):
    """HUP is signal 1, bit 0."""
    status = STATUS.format(pending=pending, blocked=blocked, caught=caught)
    assert handling(status, "HUP") == found


def test_without_the_kernel_s_word_nothing_is_known():
    """On systems without /proc."""
    assert handling("", "HUP") == "unknown"


@pytest.mark.parametrize(
    ("life", "is_new"),
    [
        (Life("b", 2.0, {"VERSION": "2", "OTHER": "x"}, "image-1", "198.18.0.9"), True),
        (Life("b", 2.0, {"VERSION": "1"}, "image-1", "198.18.0.9"), False),
        (Life("a", 2.0, {"VERSION": "2"}, "image-1", "198.18.0.9"), False),
    ],
)
def test_a_version_has_come_when_another_life_has_its_environment(life: Life, is_new: bool):
    """A restart of the old one is none, nor is the old one with an old value."""
    earlier = Life("a", 1.0, {"VERSION": "1"}, "image-1", "198.18.0.9")
    one = fault("replace", env={"VERSION": "2"})
    assert one.is_new(life, earlier) is is_new
    assert not one.is_new(life, None)


def test_another_image_is_another_id():
    """Its environment alone does not prove it."""
    earlier = Life("a", 1.0, {}, "image-1", "198.18.0.9")
    one = fault("replace", image="app:2")
    assert not one.is_new(Life("b", 2.0, {}, "image-1", ""), earlier)
    assert one.is_new(Life("b", 2.0, {}, "image-2", ""), earlier)


def test_what_does_not_go_back_stays():
    """As written, for the rest of the run."""
    assert fault("replace", back="false").permanent
    assert not fault("replace").permanent
    assert not fault("rolling_deploy").permanent
