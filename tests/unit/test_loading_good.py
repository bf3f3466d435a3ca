"""Good files become exactly the values that they say."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.errors import SpecError, UsageError
from lab.experiment import Experiment
from lab.loading import (
    find_experiment,
    find_topology,
    list_experiments,
    list_topologies,
    load_experiment,
    load_topology,
)
from lab.topology import Build, File, Healthcheck, Link, Scrape, Topology

from .loading_support import FIXTURES, KINDS, Cut, Latency, Pause

GOOD = FIXTURES / "experiments" / "good.yaml"


@pytest.fixture(scope="module")
def good() -> Experiment:
    """The good experiment."""
    return load_experiment(GOOD, KINDS)


@pytest.fixture(scope="module")
def shop() -> Topology:
    """The topology that uses everything the lab honours."""
    return load_topology(FIXTURES / "topologies" / "shop" / "compose.yaml", "shop")


def test_words_of_the_whole(good: Experiment):
    """Name, text, seed, trim and the lists are as written."""
    assert (good.name, good.phase, good.seed, good.trim_s) == ("good", "scalability", 7, 0.5)
    assert good.text == GOOD.read_text("utf-8")
    assert good.lesson == "Two lines,\nas written.\n"
    assert good.watch == ("app_db_connections", "app_pool_waiting")
    assert good.sources == ("Little 1961",)


def test_timeline(good: Experiment):
    """Phases follow each other in the order of the file."""
    assert [(p.name, p.start_s, p.end_s) for p in good.phases] == [
        ("baseline", 0, 8), ("fault", 8, 20), ("recovery", 20, 35)
    ]  # fmt: skip


def test_faults(good: Experiment):
    """A fault takes the phase `fault`, the phase it names, or the moment it names."""
    latency, pause, second_pause, cut, app_error = good.faults
    assert latency.fault == Latency(link="app -> db", delay=0.2)
    assert (latency.name, latency.at_s, latency.until_s) == ("slow-line", 8, 20)
    assert pause.fault == second_pause.fault == Pause(service="app-1")
    assert (pause.name, pause.at_s, pause.for_s) == ("pause", 24, 2.5)
    assert (second_pause.name, second_pause.for_s) == ("pause-2", pytest.approx(0.7))
    assert cut.fault == Cut(between=("app", "db"))
    assert (cut.at_s, cut.until_s) == (20, 35)
    assert app_error.fault.share == 0.2


def test_environment_stays_text(good: Experiment):
    """What YAML takes for a number or a truth reaches the service as it was written."""
    assert good.designs["pool"].env == {
        "app": {"POOL": "15", "RESET": "off"},
        "db": {"FSYNC": "on"},
    }
    assert good.designs["no-pool"].env == {"app": {"POOL": "none"}}


def test_defaults_for_every_design(good: Experiment):
    """`topology` and `replicas` at the top hold for a design that does not say otherwise."""
    assert good.designs["no-pool"].replicas == {"app": 3}
    assert good.designs["pool"].replicas == {"app": 1}
    assert {design.topology.name for design in good.designs.values()} == {"shop"}


def test_load_of_a_design(good: Experiment):
    """A design's own keys replace the default's, one by one; another shape displaces the old."""
    loads = {name: design.load for name, design in good.designs.items()}
    assert loads["no-pool"].rate == loads["pool"].rate == 60
    assert (loads["no-pool"].timeout, loads["pool"].timeout) == (10, 2)
    retry = loads["pool"].retry
    assert (retry.attempts, retry.budget, retry.backoff, retry.jitter) == (4, 0.1, 0.05, "full")
    assert loads["no-pool"].retry.attempts == 1
    assert loads["staged"].rate is None
    assert [(s.rate, s.to, s.seconds) for s in loads["staged"].stages] == [
        (50, 200, 20), (10, None, 15)
    ]  # fmt: skip
    assert (loads["closed"].loop, loads["closed"].users, loads["closed"].rate) == (
        "closed",
        2,
        None,
    )


def test_requests(good: Experiment):
    """Short forms of requests; a request without a name is called by method and path."""
    follow, create = good.designs["pool"].load.requests
    assert (follow.name, follow.method, follow.path, follow.weight) == (
        "follow",
        "GET",
        "/{key}",
        1,
    )
    assert follow.keys is not None
    assert (follow.keys.kind, follow.keys.n, follow.keys.s) == ("zipf", 1000, 1.1)
    assert (create.name, create.method, create.weight) == ("POST /links", "POST", 0.5)
    assert (create.body, create.headers) == ('{"n": {key}}', {"x-a": "1"})


def test_claims(good: Experiment):
    """Claims are parsed, on the side where they stand."""
    assert str(good.designs["no-pool"].breaks[0]) == "ok >= 95% during fault"
    assert len(good.designs["pool"].holds) == 4
    assert [str(c) for c in good.requires["no-pool"]] == [
        "increase(app_refused_total) > 50 during fault"
    ]


def test_seed_from_outside():
    """The seed of the command line replaces the file's."""
    assert load_experiment(GOOD, KINDS, seed=99).seed == 99


def test_service_that_is_built(shop: Topology):
    """Build, command, list forms, limits and the rest of what a service may say."""
    app = shop.services["app"]
    folder = FIXTURES / "topologies" / "shop"
    assert app.build == Build(folder.resolve() / "app", "Dockerfile", {"EXTRA": "yes"})
    assert app.command == ("python3", "-m", "app", "--greeting", "good day")
    assert app.environment == {"POOL": "5", "CACHE": "off"}
    assert app.depends_on == {"db": "service_healthy", "cache": "service_started"}
    assert app.ulimits == {"nofile": (1024, 65536), "nproc": (100, 100)}
    assert app.sysctls == {"net.core.somaxconn": "4096"}
    assert (app.replicas, app.cpus, app.memory_bytes) == (2, 0.5, 256 * 2**20)
    assert (app.restart, app.init, app.stop_signal) == ("on-failure:3", True, "SIGINT")
    assert (app.user, app.working_dir, app.scrape) == ("nobody", "/srv", Scrape(8000, "/stats"))


def test_service_of_an_image(shop: Topology):
    """Files, volumes, a merged healthcheck, and `$$` for a dollar."""
    db = shop.services["db"]
    seed = (FIXTURES / "topologies" / "shop" / "seed.sql").resolve()
    assert db.files == (
        File(seed, "/docker-entrypoint-initdb.d/seed.sql"),
        File(seed, "/seed.sql"),
    )
    assert db.volumes == ("data:/var/lib/postgresql/data",)
    assert db.tmpfs == ("/run", "/scratch")
    assert db.environment["POSTGRES_PASSWORD"] == "a$b"
    test = ("CMD-SHELL", "pg_isready -U $POSTGRES_USER")
    assert db.healthcheck == Healthcheck(test, interval_s=0.5, timeout_s=2, retries=30)
    assert (db.cpus, db.memory_bytes) == (1.5, 2**30)
    assert db.scrape == Scrape(5432, exporter="postgres")


def test_disks_in_memory_with_a_size(shop: Topology):
    """Both spellings of a tmpfs, and a volume."""
    cache = shop.services["cache"]
    assert cache.tmpfs == ("/run:size=1m", "/spool:size=16777216")
    assert cache.volumes == ("kept:/data",)
    assert cache.sized == {"kept": "size=64m,mode=700"}
    assert shop.services["db"].sized == {}


def test_lab_block(shop: Topology):
    """Entry, links and shared services; a healthcheck can be switched off."""
    assert shop.entry == Link("client", "app", 8000)
    assert [str(link) for link in shop.links] == ["app -> db:5432", "app -> cache:6379"]
    assert [s.name for s in shop.services.values() if s.shared] == ["cache"]
    assert shop.services["cache"].healthcheck is None
    assert shop.services["cache"].entrypoint == ("valkey-server", "--save", "")
    assert shop.services["cache"].scrape == Scrape(6379, exporter="redis")


def test_finding_by_name():
    """Topologies and experiments are found by name, by variant and by path."""
    assert list_topologies(FIXTURES) == ["faulty", "shop", "shop/small"]
    small = find_topology("shop/small", FIXTURES)
    assert small == FIXTURES / "topologies" / "shop" / "compose.small.yaml"
    assert find_topology(str(small), Path("/")) == small
    assert list_experiments(FIXTURES) == [GOOD, FIXTURES / "experiments" / "sweep.py"]
    assert find_experiment("good", FIXTURES) == GOOD
    assert find_experiment(str(GOOD), Path("/")) == GOOD


def test_finding_nothing():
    """A name that is almost right gets the right one."""
    with pytest.raises(UsageError, match="did you mean `good`"):
        find_experiment("god", FIXTURES)
    with pytest.raises(UsageError, match="did you mean `shop/small`"):
        find_topology("shop/smal", FIXTURES)


def test_topology_by_path_and_variant(tmp_path: Path):
    """`topology:` takes a path relative to the experiment, also without a `topologies` folder."""
    text = GOOD.read_text("utf-8").replace("topology: shop", "topology: lab/compose.yaml")
    (tmp_path / "lab").symlink_to(FIXTURES / "topologies" / "shop")
    (tmp_path / "elsewhere.yaml").write_text(text)
    experiment = load_experiment(tmp_path / "elsewhere.yaml", KINDS)
    assert {d.topology.name for d in experiment.designs.values()} == {"shop"}


def test_python_experiment():
    """A Python file builds the same value, and a seed from outside reaches it."""
    experiment = load_experiment(FIXTURES / "experiments" / "sweep.py", KINDS, seed=5)
    assert list(experiment.designs) == ["timeout-100", "timeout-400"]
    assert experiment.seed == 5
    assert "def experiment()" in experiment.text


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("def experiment():\n    return 1 / 0\n", r"bad\.py:2:5: error: ZeroDivisionError"),
        ("def experiment(:\n", r"bad\.py:1:1: error: not Python"),
        ("x = 1\n", r"bad\.py:1:1: error: the file must define experiment\(\)"),
        ("import sys\nsys.exit(3)\n", r"bad\.py:2:1: error: SystemExit: 3"),
    ],
)
def test_python_mistakes(code: str, message: str, tmp_path: Path):
    """What goes wrong in an author's Python is said with its place, not as a traceback."""
    (tmp_path / "bad.py").write_text(code)
    with pytest.raises(SpecError, match=message):
        load_experiment(tmp_path / "bad.py", KINDS)


def test_python_value_is_checked_too(tmp_path: Path):
    """Names that do not exist are found in a value that Python built."""
    text = (FIXTURES / "experiments" / "sweep.py").read_text("utf-8")
    folder = FIXTURES / "experiments"
    text = text.replace("Path(__file__).parent", f"Path({str(folder)!r})")
    (tmp_path / "bad.py").write_text(text.replace("during fault", "during falt"))
    with pytest.raises(SpecError, match="no phase or fault `falt`") as caught:
        load_experiment(tmp_path / "bad.py", KINDS)
    assert len(caught.value.problems) == 2


def test_shared_services_must_be_the_same(tmp_path: Path):
    """Two topologies cannot mean different things by one shared service."""
    for name, image in (("a", "x:1"), ("b", "x:2")):
        (tmp_path / f"{name}.yaml").write_text(
            f"services: {{app: {{image: '{image}'}}}}\nx-lab: {{entry: app:80, shared: [app]}}\n"
        )
    text = GOOD.read_text("utf-8").split("designs:")[0].replace("replicas: {app: 3}\n", "")
    (tmp_path / "x.yaml").write_text(
        text.replace("topology: shop\n", "")
        + "designs:\n  one: {topology: a.yaml, holds: [ok > 1%]}\n"
        + "  two: {topology: b.yaml, holds: [ok > 1%]}\nlesson: none\n"
    )
    with pytest.raises(SpecError, match="`one` and `two` share `app`, but not the same one"):
        load_experiment(tmp_path / "x.yaml", KINDS)
