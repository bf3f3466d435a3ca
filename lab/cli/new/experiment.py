"""A new experiment: one slow link, and a client that waits beside one that hangs up.

It says something about any topology with an HTTP front door, because the two designs differ in
their clients alone; the comments say what to change to make it one's own.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path

import lab
from lab.errors import LabError, UsageError
from lab.experiment import Request
from lab.faults import KINDS
from lab.loading import find_topology, list_experiments, load_experiment, load_topology
from lab.loading.hints import did_you_mean
from lab.topology import Topology

_SCHEMA = Path(lab.__file__).parent / "schema" / "experiment.json"

_TEMPLATE = """\
# yaml-language-server: $schema={schema}
#
#   lab plan {name}      what would start, break and be checked, without starting anything
#   lab run {name}       the run itself; exit code 0 means that everything came out as predicted
#
# The words: docs/reference/claims.md (what can be claimed), lab list faults (what can be broken).
question: What happens to {topology} when {link} answers late, some times more and some times less?
phase: reliability
topology: {reference}

# Open loop: requests are sent when they are due, whatever the system does.
load:
  rate: 20/s
  timeout: 5s
  requests:
{requests}

# Phases by name, in order. The first is the baseline: the system must be healthy in it.
timeline: {{baseline: 8s, fault: 8s, recovery: 6s}}

# A fault lasts for the phase called `fault`, or says itself when: at: 9s, for: 3s.
faults:
  - latency: {{link: {link}, delay: 200ms, jitter: 150ms}}

# The same load and the same fault on two or more designs. What each one does is predicted, and a
# prediction that does not come true fails the run: `holds` must prove true, `breaks` must prove
# false, and `pays` is what a design loses for what it wins.
#
# These two differ in their clients only. Yours will differ in the system: give a design its own
# env: {{{service}: {{NAME: value}}}}, replicas: {{{service}: 2}} or topology: name/variant.
designs:
  patient:
    breaks: [p95 < 250ms during fault]
    holds: [errors < 1% during fault]
    why: Everybody was served, one in twenty after more than {{p95 during fault}}.
  hangs-up:
    load: {{timeout: 200ms}}
    holds: [p95 < 250ms during fault, recovered within 5s]
    pays: [errors > 5% during fault]
    why: >-
      It hung up on {{errors during fault}} of its requests, so that nobody waited longer than
      {{max during fault}}.

# What the reader takes home.
lesson: >-
  A timeout turns a slow answer into a quick failure. Nobody waits any more, and somebody goes
  without: whether that is better depends on who waits behind them.
"""


def experiment_text(name: str, reference: str, link: str | None, root: Path) -> str:
    """The file's text.

    Raises:
        UsageError: there is no such topology, or it has no such link.
    """
    topology = load_topology(find_topology(reference, root), reference)
    chosen = _link(topology, link)
    return _TEMPLATE.format(
        schema=_schema(root),
        name=name,
        topology=reference.partition("/")[0],
        reference=reference,
        link=chosen,
        service=chosen.partition(" -> ")[2],
        requests="\n".join(f"    - {_written(request)}" for request in _requests(reference, root)),
    )


def _link(topology: Topology, wanted: str | None) -> str:
    pairs = [link.pair for link in topology.all_links]
    if wanted is None:
        return topology.links[0].pair if topology.links else topology.entry.pair
    if wanted not in pairs:
        raise UsageError(
            f"{topology.name} has no link `{wanted}`", remedy=did_you_mean(wanted, pairs) or None
        )
    return wanted


def _requests(reference: str, root: Path) -> tuple[Request, ...]:
    """Those of another experiment with this topology, which its services are known to answer."""
    for path in list_experiments(root):
        with suppress(LabError):  # another file's mistakes are not for now
            for design in load_experiment(path, KINDS).designs.values():
                if design.topology.name == reference:
                    return design.load.requests
    return (Request(name="GET /", path="/"),)


def _written(request: Request) -> str:
    """As it stands in a file: `{get: "/{key}", keys: "zipf(1000, 1.2)", name: follow}`."""
    parts = [f"{request.method.lower()}: {json.dumps(request.path)}"]
    if request.keys:
        exponent = f", {request.keys.s:g}" if request.keys.kind == "zipf" else ""
        parts.append(f'keys: "{request.keys.kind}({request.keys.n}{exponent})"')
    if " " not in request.name:
        parts.append(f"name: {request.name}")
    if request.weight != 1:
        parts.append(f"weight: {request.weight:g}")
    if request.body is not None:
        parts.append(f"body: {json.dumps(request.body)}")
    if request.headers:
        parts.append(f"headers: {json.dumps(request.headers)}")
    return f"{{{', '.join(parts)}}}"


def _schema(root: Path) -> str:
    """From the file to the schema: relative inside a checkout, so that it can be committed."""
    inside = _SCHEMA.is_relative_to(root)
    return os.path.relpath(_SCHEMA, root / "experiments") if inside else str(_SCHEMA)
