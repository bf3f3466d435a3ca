"""The collector's pure parts: the text format, labels, the samples in memory, the targets."""

from __future__ import annotations

import json
import math
from ipaddress import IPv4Network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from lab.engines.docker import prometheus
from lab.engines.docker.layout import lay_out, own_parts
from lab.engines.local import layout as local_layout
from lab.engines.local import prometheus_on_path
from lab.engines.local.collector.source import source_of
from lab.engines.local.collector.store import Store
from lab.engines.local.collector.target import Target
from lab.engines.local.collector.text import Reader, line
from lab.engines.local.targets import targets
from lab.errors import EngineError
from lab.plan import Deployment, client_of, deploy_topology
from lab.topology import Link, Scrape, Service, Topology

APP = Target("pool/app-1", "127.0.0.1", 8000, design="pool", service="app")
LAB = Target("lab", "127.0.0.1", 8000, honor_labels=True)

texts = st.text(st.characters(codec="utf-8", exclude_characters="\r"), max_size=12)
labelsets = st.dictionaries(st.sampled_from(["op", "le", "code", "path"]), texts, max_size=3)
numbers = st.floats() | st.integers(-(2**53), 2**53).map(float)
samples = st.lists(st.tuples(st.sampled_from(["a", "b_total", "c:d"]), labelsets, numbers))


def values(reader: Reader, body: bytes) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {(r.series.name, r.series.labels): r.value for r in reader.read(body)}


@settings(max_examples=200, deadline=None)
@given(samples)
def test_what_is_read_is_what_prometheus_client_reads(
    wanted: list[tuple[str, dict[str, str], float]],
) -> None:
    """Any labels and numbers, understood anew and out of what is known."""
    body = "".join(line(name, labels, value) + "\n" for name, labels, value in wanted)
    expected = {}
    for family in text_string_to_metric_families(body):
        for one in family.samples:
            labels = tuple(sorted((k, v) for k, v in one.labels.items() if v))
            expected[one.name, labels] = one.value
    reader = Reader(APP, Store())
    for _ in range(2):
        found = values(reader, body.encode())
        assert found.keys() == expected.keys()
        assert all(
            found[key] == value or (math.isnan(found[key]) and math.isnan(value))
            for key, value in expected.items()
        )


def test_a_real_exposition_keeps_its_names_and_moves_on() -> None:
    """Help and types are not values; at the second reading the values are new, the series not."""
    registry = CollectorRegistry()
    counter = Counter("hits", "Hits.", ["who"], registry=registry)
    Gauge("level", 'With "quotes" and 1 2', registry=registry).set(2.5)
    Histogram("took_seconds", "Time.", buckets=(0.1, 1), registry=registry).observe(0.5)
    counter.labels('a "b"\\ c\nd').inc()
    store = Store()
    reader = Reader(APP, store)
    first = reader.read(generate_latest(registry))
    counter.labels('a "b"\\ c\nd').inc()
    second = {r.series: r.value for r in reader.read(generate_latest(registry))}
    assert {r.series for r in first} == second.keys()
    (hits,) = (series for series in second if series.name == "hits_total")
    assert second[hits] == 2
    assert hits.labels == (("who", 'a "b"\\ c\nd'),)
    buckets = {s.labels: v for s, v in second.items() if s.name == "took_seconds_bucket"}
    assert buckets == {(("le", "0.1"),): 0, (("le", "1.0"),): 1, (("le", "+Inf"),): 1}


def test_a_counter_without_total_keeps_its_name() -> None:
    """PostgreSQL's exporter has many; Prometheus takes names as they are."""
    body = b"# TYPE pg_stat_database_xact_commit counter\npg_stat_database_xact_commit 7\n"
    assert values(Reader(APP, Store()), body) == {("pg_stat_database_xact_commit", ()): 7}


def test_a_time_in_the_text_counts_at_every_reading() -> None:
    """Also when the value looks like one that is already known."""
    reader = Reader(APP, Store())
    reader.read(b"level 1\n")
    for _ in range(2):
        (reading,) = reader.read(b"level 1 1700000000500\n")
        assert (reading.value, reading.at_unix_s) == (1, 1700000000.5)
    (reading,) = reader.read(b"level 3\n")
    assert (reading.value, reading.at_unix_s) == (3, None)


@pytest.mark.parametrize("body", [b"<html>", b"ok 1\nlevel {", b"ok 1\nok\n", b"ok one\n"])
def test_what_is_not_the_text_format_is_refused_whole(body: bytes) -> None:
    """As a failed scrape; also where the line was known before."""
    reader = Reader(APP, Store())
    reader.read(b"ok 1\n")
    with pytest.raises(ValueError):  # noqa: PT011 - the parser's messages are its own
        reader.read(body)


def test_labels_of_a_service_never_win_over_those_of_its_target() -> None:
    """They move aside, as in Prometheus; empty ones are none."""
    found = APP.labelled({"instance": "me", "exported_instance": "x", "op": "get", "none": ""})
    assert found["instance"] == "pool/app-1"
    assert found["exported_exported_instance"] == "me"
    assert found["exported_instance"] == "x"
    assert (found["op"], found["design"], found["job"]) == ("get", "pool", "services")
    assert "none" not in found


def test_labels_of_the_labs_own_metrics_win() -> None:
    """A metric of the lab says itself which design it is about."""
    assert LAB.labelled({"design": "pool", "instance": "x"}) == {
        "design": "pool",
        "instance": "x",
        "job": "lab",
    }
    store = Store()
    (reading,) = Reader(LAB, store).read(b'lab_client_inflight{design="pool"} 3\n')
    assert (reading.series.design, reading.series.instance) == ("pool", "lab")
    assert reading.series.labels == ()


def test_samples_between_two_moments() -> None:
    """Both ends are in, NaN is not, a moment counts once, and old ones are forgotten."""
    store = Store()
    series = store.series("level", {"instance": "i", "design": "d", "job": "j", "op": "get"})
    assert store.series("level", {"op": "get", "design": "d", "instance": "i"}) is series
    for at, value in ((1.0, 10.0), (2.0, 20.0), (2.0, 99.0), (3.0, math.nan), (4.0, 40.0)):
        series.append(at, value)
    store.series("other", {}).append(2.0, 5.0)
    assert list(store.between(2.0, 4.0, {"level"})) == [(series, [2.0, 4.0], [20.0, 40.0])]
    assert list(store.between(5.0, 9.0, {"level"})) == []
    store.forget(2.0)
    assert list(store.between(0.0, 9.0, {"level"})) == [(series, [2.0, 4.0], [20.0, 40.0])]
    assert store.count() == (2, 4)


def shop(exporter: str = "redis") -> Deployment:
    """Two apps, a shared database and a cache."""
    services = {
        "app": Service("app", image="app", replicas=2, scrape=Scrape(8000, "/m")),
        "db": Service(
            "db",
            image="postgres:17",
            shared=True,
            scrape=Scrape(5432, exporter="postgres"),
            environment={"POSTGRES_USER": "shop", "POSTGRES_PASSWORD": "secret"},
        ),
        "cache": Service("cache", image="valkey:8", scrape=Scrape(6379, exporter=exporter)),
        "queue": Service("queue", image="queue"),
    }
    links = (Link("app", "db", 5432), Link("app", "cache", 6379))
    return deploy_topology(Topology("shop", services, links, Link("client", "app", 8000)))


def scraped(deployment: Deployment) -> list[Target]:
    network = IPv4Network("127.64.7.0/24")
    layout = local_layout.lay_out(deployment, network, "addresses", drivers=True)
    return targets(deployment, layout, drivers=True)


def without_private(labels: dict[str, str]) -> dict[str, str]:
    return {k: v for k, v in labels.items() if not k.startswith("__") and v}


def test_targets_are_those_of_the_docker_engine() -> None:
    """The same instances with the same labels in the same jobs, so that the samples are alike."""
    deployment = shop()
    parts = own_parts(deployment, drivers=True)
    theirs = json.loads(
        prometheus.config(
            deployment,
            lay_out("r", deployment, IPv4Network("198.18.7.0/24"), parts),
            drivers=True,
            agent=False,
        )
    )
    own = {"lab/toxiproxy", "lab/prometheus"}
    expected = {
        (tuple(sorted(without_private(one["labels"]).items())), job["job_name"])
        for job in theirs["scrape_configs"]
        for one in job["static_configs"]
        if one["labels"]["instance"] not in own
    }
    found = set()
    for target in scraped(deployment):
        labels = target.labels
        job = labels.pop("job")
        found.add((tuple(sorted(labels.items())), job))
    assert found == expected


def test_a_target_knows_where_and_how_to_log_in() -> None:
    """The real address; for PostgreSQL what Compose says."""
    db, cache, app = (
        next(t for t in scraped(shop()) if t.service == name) for name in ("db", "cache", "app")
    )
    assert (db.kind, db.port, db.user, db.password, db.database) == (
        "postgres",
        5432,
        "shop",
        "secret",
        "shop",
    )
    assert (cache.kind, cache.user) == ("redis", "")
    assert (app.kind, app.port, app.path) == ("prometheus", 8000, "/m")
    assert app.host.startswith("127.64.7.")


def test_an_unknown_exporter_is_named() -> None:
    """With those that there are."""
    with pytest.raises(EngineError, match="no exporter `mysql` for cache"):
        scraped(shop(exporter="mysql"))
    with pytest.raises(ValueError, match="no kind 'mysql'"):
        source_of(Target("x", "127.0.0.1", 1, kind="mysql"))  # type: ignore[arg-type]


def test_a_prometheus_here_scrapes_the_same_and_reads_servers_through_the_collector() -> None:
    """Jobs, labels and addresses of its configuration."""
    wanted = scraped(shop())
    text = prometheus_on_path.config(
        wanted, translations=("127.64.7.1", 9000), listen=("127.0.0.1", 9090)
    )
    services, lab = json.loads(text)["scrape_configs"]
    by_name = {one["labels"]["instance"]: one for one in services["static_configs"]}
    assert by_name["db-1"]["targets"] == ["127.64.7.1:9000"]
    assert by_name["db-1"]["labels"]["__param_instance"] == "db-1"
    app = next(t for t in wanted if t.service == "app")
    assert by_name[app.instance]["targets"] == [app.address]
    assert by_name[app.instance]["labels"]["__metrics_path__"] == "/m"
    assert lab["honor_labels"] is True
    instances = [one["labels"]["instance"] for one in lab["static_configs"]]
    assert instances == [client_of("shop"), "lab", "lab/prometheus"]
