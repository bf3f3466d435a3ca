"""Loads a topology: a Compose file, and the `x-lab` block that says what Compose cannot.

x-lab:
  entry: app:8000                       where load arrives
  links: ["app -> db:5432"]             who opens connections to whom; each gets a proxy
  shared: [db]                          run once for all designs
  metrics: {app: 8000, db: postgres}    port or port/path that speaks Prometheus, or an exporter
  certificates: {db: /certs}            folder for a certificate, its key and the run's authority
  trusts: {app: /certs}                 folder for the authority alone
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from lab.loading.compose_keys import SERVICE, TOP, VOLUME, check_keys, check_schema, check_variables
from lab.loading.compose_service import ServiceReader
from lab.loading.document import Document, KeyPath, read_document
from lab.loading.reader import Reader, known
from lab.topology import CLIENT, Link, Scrape, Service, Topology

EXPORTERS = {"postgres": 5432, "redis": 6379}
"""Exporters that the lab can put beside a server, and the port it usually listens on."""

_SERVICE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_ENTRY = re.compile(r"([\w.-]+):(\d+)")
_SIZED = re.compile(r"(^|,)size=\d+(\.\d+)?[kmg%]?(,|$)", re.IGNORECASE)
_FOLDER = re.compile(r"(/(?!\.\.?(/|$))[\w.-]+)+/?")
_SCRAPE = re.compile(r"(\d+)(/\S*)?")


class LabBlock(BaseModel):
    """The `x-lab` block."""

    model_config = ConfigDict(extra="forbid")

    entry: str = Field(description="service and port where load arrives", examples=["app:8000"])
    links: list[str] = Field(default_factory=list, examples=[["app -> db:5432"]])
    shared: list[str] = Field(default_factory=list, description="services all designs share")
    metrics: dict[str, str] = Field(default_factory=dict, examples=[{"app": "8000"}])
    certificates: dict[str, str] = Field(default_factory=dict, examples=[{"db": "/certs"}])
    trusts: dict[str, str] = Field(default_factory=dict, examples=[{"app": "/certs"}])


def load_topology(path: Path, name: str) -> Topology:
    """Load a Compose file as a topology of that name.

    Raises:
        UsageError: there is no such file.
        SpecError: with every mistake in it.
    """
    document = read_document(path)
    reader = Reader(document)
    check_keys(reader, (), TOP)
    document.data = check_variables(reader, document.data)
    _check_volumes(reader)
    names = [str(service) for service in reader.mapping(("services",))]
    if not document.has(("services",)):
        reader.wrong((), "the file has no `services`", "is this a Compose file?")
    for service in names:
        check_keys(reader, ("services", service), SERVICE)
    services = {s: ServiceReader(reader, s, path.resolve().parent).read() for s in names}
    _check_services(reader, services)
    entry, links, shared, scrapes = _lab_block(reader, services)
    certificates = _folders(reader, services, "certificates")
    trusts = _folders(reader, services, "trusts")
    check_schema(reader)
    reader.finish()
    assert entry is not None  # noqa: S101 - otherwise something was noted
    return Topology(
        name=name,
        services={
            s: replace(
                service,
                shared=s in shared,
                scrape=scrapes.get(s),
                certificates=certificates.get(s),
                trusts=trusts.get(s),
            )
            for s, service in services.items()
        },
        links=tuple(links),
        entry=entry,
        path=path.resolve(),
    )


def _check_volumes(reader: Reader) -> None:
    """A named volume is new in every run and belongs to one container."""
    document = reader.document
    volumes = document.at(("volumes",))
    for name in volumes if isinstance(volumes, dict) else ():
        check_keys(reader, ("volumes", name), VOLUME)
        _check_driver(reader, ("volumes", name))
    users: dict[str, str] = {}
    for service, path, source in _named_volumes(document):
        if users.setdefault(source, service) != service:
            message = f"volume `{source}` is in `{users[source]}` too, but containers share none"
            reader.wrong(path, message, "give each service a volume of its own")


def _check_driver(reader: Reader, path: KeyPath) -> None:
    """A volume is in a folder of Docker's, or in memory with a size; nothing of this machine."""
    document = reader.document
    driver = document.at((*path, "driver"))
    if driver not in (None, "local"):
        reader.wrong((*path, "driver"), f"the lab has no driver `{driver}`", "delete it")
    options = document.at((*path, "driver_opts"))
    if not isinstance(options, dict):
        return
    hint = "write driver_opts: {type: tmpfs, device: tmpfs, o: size=64m}"
    if options.get("type") != "tmpfs":
        kind = options.get("type", "none")
        reader.wrong((*path, "driver_opts"), f"volumes of type `{kind}` are not for runs", hint)
    elif not _SIZED.search(str(options.get("o", ""))):
        reader.wrong((*path, "driver_opts"), "a volume in memory needs a size", hint)


def _named_volumes(document: Document) -> list[tuple[str, KeyPath, str]]:
    """Service, place and name of every named volume that is used."""
    found: list[tuple[str, KeyPath, str]] = []
    services = document.at(("services",))
    for service in services if isinstance(services, dict) else ():
        items = document.at(("services", service, "volumes"))
        for index, item in enumerate(items if isinstance(items, list) else ()):
            source = item.get("source") if isinstance(item, dict) else str(item).partition(":")[0]
            if source and not str(source).startswith((".", "/", "~")):
                found.append((service, ("services", service, "volumes", index), str(source)))
    return found


def _check_services(reader: Reader, services: Mapping[str, Service]) -> None:
    for name, service in services.items():
        path: KeyPath = ("services", name)
        base, _, number = name.rpartition("-")
        if not _SERVICE_NAME.fullmatch(name):
            reader.wrong(path, f"`{name}` cannot be the name of a service", key=True)
        elif name == CLIENT:
            reader.wrong(
                path, f"`{CLIENT}` is how the lab calls the load driver", "rename it", key=True
            )
        elif base in services and number.isdecimal():
            message = f"`{name}` is also the name of a replica of `{base}`"
            reader.wrong(path, message, "rename it", key=True)
        for other, condition in service.depends_on.items():
            place = _place_of(reader, path, other)
            if other not in services:
                reader.wrong(place, *known(list(services), other, "service"), key=True)
            elif condition == "service_healthy" and services[other].healthcheck is None:
                message = f"`{other}` has no healthcheck to wait for"
                reader.wrong(place, message, f"add a healthcheck to `{other}`", key=True)
        if cycle := _cycle(services, name, (name,)):
            message = f"these wait for each other: {' -> '.join(cycle)}"
            reader.wrong((*path, "depends_on"), message, "take one out", key=True)


def _place_of(reader: Reader, path: KeyPath, dependency: str) -> KeyPath:
    """Where a dependency stands: a key of the mapping or an item of the list."""
    value = reader.document.at((*path, "depends_on"))
    step = value.index(dependency) if isinstance(value, list) else dependency
    return (*path, "depends_on", step)


def _cycle(services: Mapping[str, Service], name: str, path: tuple[str, ...]) -> tuple[str, ...]:
    """A way from a service back to the first of the path, when that is its alphabetical least."""
    for other in services[name].depends_on if name in services else ():
        if other == path[0] and other == min(path):
            return (*path, other)
        if other not in path and (found := _cycle(services, other, (*path, other))):
            return found
    return ()


def _lab_block(
    reader: Reader, services: Mapping[str, Service]
) -> tuple[Link | None, list[Link], set[str], dict[str, Scrape]]:
    """Entry, links, shared services and scrape targets; what is wrong is noted."""
    if not reader.document.has(("x-lab",)):
        near = [key for key in reader.document.data if key.startswith("x-l")]
        hint = "rename this one to `x-lab`" if near else "add x-lab: {entry: app:8000, links: […]}"
        place: KeyPath = (near[0],) if near else ()
        reader.wrong(place, "the file has no `x-lab` block", hint, key=True)
        return None, [], set(), {}
    block = reader.fields(LabBlock, ("x-lab",))
    shared = set()
    for index, service in enumerate(block.get("shared", ())):
        if _exists(reader, services, service, ("x-lab", "shared", index)):
            shared.add(service)
    scrapes = {}
    for service, text in block.get("metrics", {}).items():
        _exists(reader, services, service, ("x-lab", "metrics", service), key=True)
        scrapes[service] = _scrape(reader, text, ("x-lab", "metrics", service))
    links = _links(reader, services, block.get("links", ()), shared)
    return _entry(reader, services, block), links, shared, scrapes


def _exists(
    reader: Reader,
    services: Mapping[str, Service],
    name: str,
    path: KeyPath,
    *,
    key: bool = False,
) -> bool:
    if name in services or not services:
        return True  # a file without services is one mistake, not one for each use of them
    word = "" if key else name
    reader.wrong(path, *known(list(services), name, "service"), key=key, word=word)
    return False


def _entry(
    reader: Reader, services: Mapping[str, Service], block: Mapping[str, Any]
) -> Link | None:
    if "entry" not in block:
        return None
    path: KeyPath = ("x-lab", "entry")
    match = _ENTRY.fullmatch(block["entry"])
    if not match or not 0 < int(match[2]) < 65536:
        message = f"`{block['entry']}` does not say where load arrives"
        reader.wrong(path, message, "write service:port, like app:8000")
        return None
    _exists(reader, services, match[1], path)
    return Link(CLIENT, match[1], int(match[2]))


def _links(
    reader: Reader, services: Mapping[str, Service], texts: list[str], shared: set[str]
) -> list[Link]:
    links: list[Link] = []
    for index, text in enumerate(texts):
        path: KeyPath = ("x-lab", "links", index)
        try:
            link = Link.parse(text)
        except ValueError as error:
            reader.unfit(path, error)
            continue
        if link.client == CLIENT:
            reader.wrong(path, "the client's link is the `entry`", "delete this one", word=CLIENT)
            continue
        ends = [_exists(reader, services, end, path) for end in (link.client, link.server)]
        if link in links:
            reader.wrong(path, f"`{link}` stands here twice", "delete one")
        elif all(ends) and link.client in shared and link.server not in shared:
            message = f"`{link.client}` is shared by all designs, `{link.server}` is not"
            reader.wrong(path, message, f"add {link.server} to `shared`, or take {link.client} out")
        else:
            links.append(link)
    return links


def _folders(reader: Reader, services: Mapping[str, Service], key: str) -> dict[str, str]:
    """Folders of containers by service; a mistake in another field is noted there."""
    texts = reader.document.at(("x-lab", key))
    found: dict[str, str] = {}
    for service, text in texts.items() if isinstance(texts, dict) else ():
        path: KeyPath = ("x-lab", key, service)
        _exists(reader, services, service, path, key=True)
        if not isinstance(text, str):
            continue
        if not _FOLDER.fullmatch(text):
            message = f"`{text}` is not a folder in the container"
            reader.wrong(path, message, "write a path from the root, like /certs")
        else:
            found[service] = text.rstrip("/")
    return found


def _scrape(reader: Reader, text: str, path: KeyPath) -> Scrape:
    """`8000`, `8404/metrics`, `postgres` or `postgres:5433`."""
    exporter, _, port = text.partition(":")
    if exporter in EXPORTERS and (not port or port.isdecimal()):
        return Scrape(int(port or EXPORTERS[exporter]), exporter=exporter)
    match = _SCRAPE.fullmatch(text)
    if match and 0 < int(match[1]) < 65536:
        return Scrape(int(match[1]), match[2] or "/metrics")
    message = f"`{text}` does not say where metrics are"
    reader.wrong(path, message, f"write a port, port/path, or one of {', '.join(EXPORTERS)}")
    return Scrape(1)
