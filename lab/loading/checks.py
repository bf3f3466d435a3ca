"""Checks across the parts of an experiment: do the names that they use exist? Pure, no positions.

The YAML loader puts each mistake at its place in the file; the Python loader says which part of the
value it is in.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from pydantic import BaseModel

from lab.claims import Claim, Measure, Moment, Window
from lab.experiment import Design, Phase, ScheduledFault
from lab.loading.hints import did_you_mean
from lab.plan import Deployment, deploy_topology
from lab.selection import Selection, ends_of_link, parse_selection
from lab.sentences import Expression
from lab.topology import CLIENT, Service, Topology

_TOLERANCE_S = 1e-6


class Mistake(NamedTuple):
    """What is wrong, what to write instead, and the word that is wrong."""

    message: str
    hint: str = ""
    word: str = ""


@dataclass(slots=True)
class Names:
    """What claims and sentences may name.

    `requests` is by design, None where they are not known. `unsure` holds names that exist but
    whose place on the timeline is not known, because of another mistake; no phases at all means
    that the timeline is unknown.
    """

    phases: tuple[Phase, ...]
    faults: tuple[ScheduledFault, ...]
    trim_s: float
    requests: Mapping[str, Collection[str] | None]
    unsure: set[str] = field(default_factory=set)

    @property
    def spans(self) -> dict[str, tuple[float, float]]:
        """Start and end of everything that `during` may name; a phase goes before a fault."""
        spans = {f.name: (f.at_s, f.at_s + f.for_s) for f in self.faults}
        return spans | {phase.name: (phase.start_s, phase.end_s) for phase in self.phases}


def claim_mistakes(claim: Claim, design: str, names: Names) -> Iterator[Mistake]:
    """What a claim of a design names that is not there."""
    yield from _window_mistakes(claim.window, names, whole=claim.measure.name == "recovery")
    request, reference = claim.measure.request, claim.bound.reference
    if request:
        yield from _request_mistakes(request, design, names)
    if reference is None:
        return
    if reference not in names.requests:
        yield from _span_mistakes(reference, names, also=names.requests)
    elif request:
        yield from _request_mistakes(request, reference, names)


def expression_mistakes(expression: Expression, design: str, names: Names) -> Iterator[Mistake]:
    """What an expression in a sentence of a design names that is not there."""
    recovery = any(measure.name == "recovery" for measure in expression.measures)
    yield from _window_mistakes(expression.window, names, whole=recovery)
    for measure in expression.measures:
        if measure.request:
            yield from _request_mistakes(measure.request, design, names)


def trimmed_spans(
    window: Window, measures: Iterable[Measure], reference: str | None = None
) -> set[str]:
    """The phases and faults that something is measured in without their edges."""
    whole = any(measure.name == "recovery" for measure in measures)
    return {name for name in (None if whole else window.phase, reference) if name}


def _request_mistakes(request: str, design: str, names: Names) -> Iterator[Mistake]:
    requests = names.requests.get(design)
    if requests is not None and request not in requests:
        message = f"design `{design}` sends no request called `{request}`"
        yield Mistake(message, did_you_mean(request, requests), request)


def _window_mistakes(window: Window, names: Names, *, whole: bool) -> Iterator[Mistake]:
    """A `whole` span counts as it is, others are trimmed; phases are checked for that once."""
    if window.start and window.end:
        yield from _moments_mistakes(window.start, window.end, names)
    elif window.phase:
        yield from _span_mistakes(window.phase, names)
        start_s, end_s = names.spans.get(window.phase, (0.0, float("inf")))
        is_phase = any(window.phase == phase.name for phase in names.phases)
        if not whole and not is_phase and end_s - start_s <= 2 * names.trim_s:
            yield Mistake(
                f"`{window.phase}` lasts {end_s - start_s:g} s; nothing is left of it once "
                f"{names.trim_s:g} s are trimmed at both edges",
                f"write from {window.phase} to {window.phase}.end+2s, or lower `trim`",
                window.phase,
            )


def _span_mistakes(name: str, names: Names, also: Iterable[str] = ()) -> Iterator[Mistake]:
    if name in names.spans or name in names.unsure or not names.phases:
        return
    if name == "run":
        yield Mistake(
            "the whole run is what counts when nothing is said", "leave `during run` out", name
        )
        return
    what = "phase, fault or design" if also else "phase or fault"
    hint = did_you_mean(name, [*names.spans, *also])
    yield Mistake(f"there is no {what} `{name}`", hint, name)


def _moments_mistakes(start: Moment, end: Moment, names: Names) -> Iterator[Mistake]:
    spans, ends = names.spans, []
    later = {fault.name for fault in names.faults if fault.triggered}
    for moment in (start, end):
        if moment.phase:
            yield from _span_mistakes(moment.phase, names)
    if any(m.phase and (m.phase not in spans or m.phase in later) for m in (start, end)):
        return
    for moment in (start, end):
        edges = spans[moment.phase] if moment.phase else (0.0, 0.0)
        ends.append((edges[1] if moment.edge == "end" else edges[0]) + moment.offset_s)
    if not names.phases:
        return
    if ends[0] >= ends[1]:
        yield Mistake(f"the window ends at {ends[1]:g} s, before it starts at {ends[0]:g} s")
    elif ends[0] < -_TOLERANCE_S or ends[1] > names.phases[-1].end_s + _TOLERANCE_S:
        message = f"the window from {ends[0]:g} s to {ends[1]:g} s leaves the timeline"
        yield Mistake(message, f"it ends at {names.phases[-1].end_s:g} s")


_TOGETHER_S = 1e-6
"""Faults that overlap for less than this follow each other."""


class Targets:
    """What faults may break: services, replicas and links over all designs."""

    def __init__(self, topologies: Iterable[tuple[Topology, Mapping[str, int]]]) -> None:
        """Take in each design's topology and its own numbers of replicas."""
        self.services: dict[str, None] = {}
        self.links: dict[str, None] = {}
        self._ports: dict[tuple[str, str], set[str]] = {}
        self._deployments: list[Deployment] = []
        for topology, replicas in topologies:
            self._deployments.append(deploy_topology(with_replicas(topology, replicas)))
            hosts = {s.name: _hosts(s, replicas) for s in topology.services.values()}
            self.services |= dict.fromkeys(host for group in hosts.values() for host in group)
            for link in topology.all_links:
                self.links[link.pair] = None
                for client in hosts.get(link.client, [CLIENT]):
                    for server in hosts[link.server]:
                        if client == server != link.server:
                            continue  # a replica opens no connection to itself
                        self._ports.setdefault((client, server), set()).add(str(link.port))

    def mistakes(self, fault: BaseModel) -> Iterator[tuple[str, Mistake]]:
        """The fields of a fault that name what is not there."""
        for name in ("link", "service", "between"):
            value = getattr(fault, name, None)
            if name == "link" and isinstance(value, str):
                yield from ((name, mistake) for mistake in self._link(value))
            elif name == "service" and isinstance(value, str):
                found = self._service(value) if value == CLIENT else self._member(value)
                yield from ((name, mistake) for mistake in found)
            elif name == "between" and isinstance(value, tuple | list):
                yield from ((name, mistake) for mistake in self._between(*map(str, value)))
        misfits = getattr(fault, "misfits", lambda _: ())
        found = (wrong for deployment in self._deployments for wrong in misfits(deployment))
        for field_name, *wrong in dict.fromkeys(found):
            yield field_name, Mistake(*wrong)
        for name in ("groups", "isolate", "ring"):
            members = list(_flat(getattr(fault, name, None)))
            yield from ((name, mistake) for m in members for mistake in self._member(m))
            if members and all(self._meant(m) for m in members) and not self._hits(fault):
                every = f"the links are: {', '.join(self.links)}"
                yield name, Mistake("no link is cut by that, so nothing would happen", every)

    def overlap(self, one: ScheduledFault, other: ScheduledFault) -> Mistake | None:
        """Two faults of one kind at one place and time: neither could heal without the other.

        What a selection turns out to be only the run knows, which then looks again: here it counts
        when the other fault is on all that it can be.
        """
        together_s = min(one.until_s, other.until_s) - max(one.at_s, other.at_s)
        if type(one.fault) is not type(other.fault) or together_s <= _TOGETHER_S:
            return None
        mine, theirs = self._places(one.fault), self._places(other.fault)
        shared = mine & theirs
        certain = {
            (False, False): True,
            (True, False): mine <= theirs,
            (False, True): theirs <= mine,
            (True, True): False,
        }
        if not shared or not certain[_is_open(one.fault), _is_open(other.fault)]:
            return None
        target = min(shared)[0].rpartition("/")[2]
        message = f"`{one.name}` is on {target} at that time too, and healing one heals both"
        return Mistake(message, "let one begin after the other has ended")

    def _places(self, fault: Any) -> set[tuple[str, str]]:
        """What it breaks, in which directions."""
        places = getattr(fault, "places", lambda _: ())
        return {place for deployment in self._deployments for place in places(deployment)}

    def _link(self, text: str) -> Iterator[Mistake]:
        client, server, port = ends_of_link(text)
        if not client or not server:
            yield Mistake(f"`{text}` is not a link", "write client -> server, like app -> db")
            return
        if _selection(client) or _selection(server):
            yield from self._selected_link(client, server, port)
            return
        ports = self._ports.get((client, server))
        if ports is None:
            yield Mistake(
                f"there is no link `{client} -> {server}`", self._links_hint(client, server)
            )
        elif port and port not in ports:
            yield Mistake(
                f"`{client} -> {server}` does not go to port {port}", f"it goes to {min(ports)}"
            )

    def _selected_link(self, client: str, server: str, port: str) -> Iterator[Mistake]:
        """A link of which an end is still to be found: some candidate must have it."""
        before = [*self._member(client), *self._member(server)]
        yield from before
        if before:
            return
        ones, others = self._meant(client), self._meant(server)
        ports = [self._ports.get((a, b), set()) for a in ones for b in others]
        if not any(ports):
            message = f"there is no link `{client} -> {server}`"
            yield Mistake(message, f"the links are: {', '.join(self.links)}")
        elif port and not any(port in found for found in ports):
            every = ", ".join(sorted(set[str]().union(*ports)))
            message = f"`{client} -> {server}` does not go to port {port}"
            yield Mistake(message, f"it goes to {every}")

    def _service(self, name: str) -> Iterator[Mistake]:
        if name not in self.services:
            yield Mistake(f"there is no service `{name}`", did_you_mean(name, self.services), name)

    def _between(self, one: str, other: str) -> Iterator[Mistake]:
        ones, others = self._meant(one), self._meant(other)
        yield from (*self._member(one), *self._member(other))
        pairs = [(a, b) for a in ones for b in others]
        if pairs and not any(pair in self._ports or pair[::-1] in self._ports for pair in pairs):
            message = f"nothing connects `{one}` and `{other}`"
            yield Mistake(message, f"the links are: {', '.join(self.links)}")

    def _member(self, name: str) -> Iterator[Mistake]:
        selection = _selection(name)
        if selection and self._meant(name):
            yield from self._too_few(name, selection)
        elif not self._meant(name):
            yield from self._service(selection.service if selection else name)

    def _too_few(self, text: str, selection: Selection) -> Iterator[Mistake]:
        """Each design that has such a service must have as many as are asked for."""
        for deployment in self._deployments:
            count = len(deployment.instances_of(text))
            if count and not 0 < selection.size(count) <= count:
                message = f"`{text}`: there {'is' if count == 1 else 'are'} only {count} of them"
                yield Mistake(message, "ask for fewer, or give it more `replicas`", text)
                return

    def _meant(self, member: str) -> list[str]:
        """The services and replicas that a member or a pattern means, or the client."""
        selection = _selection(member)
        pattern = selection.service if selection else member
        if pattern in self.services:
            mine = [h for h in self.services if selection and h.rpartition("-")[0] == pattern]
            return [pattern, *mine]
        if pattern == CLIENT and not selection:
            return [CLIENT]
        return [name for name in self.services if fnmatchcase(name, pattern)]

    def _hits(self, fault: BaseModel) -> bool:
        """Whether a fault breaks anything in any design."""
        targets = getattr(fault, "targets", None)
        return targets is None or any(targets(deployment) for deployment in self._deployments)

    def _links_hint(self, client: str, server: str) -> str:
        every = f"the links are: {', '.join(self.links)}"
        if (server, client) in self._ports:
            return f"did you mean `{server} -> {client}`? {every}"
        near = did_you_mean(f"{client} -> {server}", self.links)
        return f"{near} {every}" if near.startswith("did") else every


def _selection(text: str) -> Selection | None:
    """What it selects; None for a name, and for what the fault itself has refused."""
    try:
        return parse_selection(text)
    except ValueError:
        return None


def _is_open(fault: Any) -> bool:
    """Whether whom it breaks is found out in the run only."""
    return not getattr(fault, "made", True)


def _flat(value: object) -> Iterator[str]:
    """The names in a name, a list of them, or a list of lists."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, tuple | list):
        for part in value:
            yield from _flat(part)


def with_replicas(topology: Topology, replicas: Mapping[str, int]) -> Topology:
    """The topology with a design's own numbers of replicas."""
    counts = {s.name: replicas.get(s.name, s.replicas) for s in topology.services.values()}
    services = {n: replace(s, replicas=counts[n]) for n, s in topology.services.items()}
    return replace(topology, services=services)


def _hosts(service: Service, replicas: Mapping[str, int]) -> list[str]:
    count = replicas.get(service.name, service.replicas)
    return [service.name, *(f"{service.name}-{number}" for number in range(1, count + 1))]


def setting_mistakes(topology: Topology, service: str, what: str) -> Iterator[Mistake]:
    """Whether a design may set something of this service; `what` is `environment`, `replicas`."""
    if service not in topology.services:
        message = f"topology `{topology.name}` has no service `{service}`"
        yield Mistake(message, did_you_mean(service, topology.services))
    elif topology.services[service].shared:
        yield Mistake(
            f"all designs share `{service}`, so that one alone cannot set its {what}",
            "set it in the Compose file, or take the service out of `shared`",
        )


def shared_mistakes(designs: Mapping[str, Topology]) -> Iterator[tuple[str, Mistake]]:
    """Shared services run once for all designs, so every topology must mean the same by them."""
    first: dict[str, tuple[str, Service]] = {}
    for design, topology in designs.items():
        for service in topology.services.values():
            if not service.shared:
                continue
            other, same = first.setdefault(service.name, (design, service))
            if same != service:
                message = f"`{other}` and `{design}` share `{service.name}`, but not the same one"
                yield design, Mistake(message, "use one topology, or write it alike in both")


def requests_of(designs: Mapping[str, Design]) -> dict[str, Collection[str] | None]:
    """The names of each design's requests."""
    return {name: [r.name for r in design.load.requests] for name, design in designs.items()}
