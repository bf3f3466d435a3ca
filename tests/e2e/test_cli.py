"""The command line: bad input of every kind gets one clear message, never a traceback."""

from __future__ import annotations

import json
import re

import pytest

from tests.e2e.support import QUICK, lab

GOOD = QUICK.read_text()

MISTAKES = {
    "an unknown key": ("load:", "laod:", r"quick\.yaml:\d+:1: error: .*laod.*", "load"),
    "a missing unit": ("rate: 50/s", "rate: 50", r":\d+:\d+: error: .*50.* not a rate", "100/s"),
    "an unknown link": (
        "client -> app",
        "app -> db",
        r":\d+:\d+: error: .*app -> db",
        "client -> app",
    ),
    "an unknown fault": ("- latency:", "- latecny:", r":\d+:\d+: error: .*latecny", "latency"),
    "an unknown topology": ("slots/shared", "slost", r":\d+:\d+: error: .*slost", "slots"),
    "an unknown phase": ("during fault]\n  other", "during fualt]\n  other", r"fualt", "fault"),
    "a claim that is none": ("p50 > 250ms", "fast enough", r":\d+:\d+: error: .*claim", "p99"),
    "a broken file": ("designs:", "designs: [", r"quick\.yaml:\d+:\d+: error", ""),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_a_file_is_shown_with_its_place_and_the_remedy(tmp_path, mistake):
    """Exit code 2; file, line and column; the word that was meant."""
    right, wrong, message, remedy = MISTAKES[mistake]
    assert right in GOOD
    file = tmp_path / "quick.yaml"
    file.write_text(GOOD.replace(right, wrong, 1))
    finished = lab("run", str(file))
    assert finished.returncode == 2, finished.stderr
    assert re.search(message, finished.stderr), finished.stderr
    assert remedy in finished.stderr
    assert "Traceback" not in finished.stderr


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("run", "redit-hug"), "reddit-hug"),
        (("run", "no/such/file.yaml"), "no/such/file.yaml"),
        (("check", "no-such-run"), "no-such-run"),
        (("run", "reddit-hug", "--engine", "podman"), "docker"),
        (("run", "reddit-hug", "--port", "99999"), "65535"),
        (("view", "--port", "-1"), "--port"),
    ],
)
def test_what_does_not_exist_is_named(args, words):
    """Exit code 2 and the nearest thing that does exist."""
    finished = lab(*args)
    assert finished.returncode == 2, finished.stderr
    assert words in finished.stderr
    assert "Traceback" not in finished.stderr


@pytest.mark.local
@pytest.mark.parametrize("wrong", [("--port", "99999"), ("--progress", "fancy")])
def test_a_run_that_is_refused_leaves_no_folder(tmp_path, wrong):
    """What could not begin is no run: `lab view` has nothing to list."""
    finished = lab("run", "reddit-hug", "--engine", "local", "--runs", str(tmp_path), *wrong)
    assert finished.returncode == 2, finished.stderr
    assert "Traceback" not in finished.stderr
    assert not list(tmp_path.glob("*/*"))


def test_asked_for_docker_without_one_the_remedy_is_a_command(tmp_path):
    """A dead daemon: exit code 4, where it was looked for, and what to do."""
    nowhere = f"unix://{tmp_path}/none"
    args = ("run", str(QUICK), "--runs", str(tmp_path), "--engine", "docker")
    finished = lab(*args, DOCKER_HOST=nowhere)
    assert finished.returncode == 4, finished.stderr
    assert f"{tmp_path}/none" in finished.stderr
    assert "->" in finished.stderr
    assert "Traceback" not in finished.stderr
    assert not any(tmp_path.iterdir())


@pytest.mark.local
def test_without_docker_it_runs_on_this_machine_and_says_why(tmp_path):
    """The first line names the engine and the reason; the run ends as predicted."""
    nowhere = f"unix://{tmp_path}/none"
    finished = lab("run", str(QUICK), "--runs", str(tmp_path / "runs"), DOCKER_HOST=nowhere)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    head = "\n".join(finished.stderr.splitlines()[:2])
    assert "engine=local" in head
    assert f"{tmp_path}/none" in head


@pytest.mark.local
def test_an_image_without_a_server_here_is_named(tmp_path):
    """Before anything starts: which image, what there is instead, and the engine that can."""
    topology = tmp_path / "topologies" / "queue"
    topology.mkdir(parents=True)
    (topology / "compose.yaml").write_text(
        "services: {broker: {image: 'rabbitmq:4'}}\nx-lab: {entry: 'broker:5672'}\n"
    )
    file = tmp_path / "queue.yaml"
    file.write_text(
        GOOD.replace("slots/shared", "queue").replace("client -> app", "client -> broker")
    )
    finished = lab("run", str(file), "--engine", "local", cwd=tmp_path)
    assert finished.returncode == 4, finished.stdout + finished.stderr
    assert "rabbitmq:4" in finished.stderr
    assert "postgres" in finished.stderr
    assert "--engine docker" in finished.stderr
    assert "Traceback" not in finished.stderr


def test_doctor_says_what_is_missing(tmp_path):
    """The same dead daemon, from the doctor: not needed where the local engine is there."""
    finished = lab("doctor", DOCKER_HOST=f"unix://{tmp_path}/none")
    assert "Docker Engine: no Docker daemon answers" in finished.stdout
    assert (finished.returncode == 0) == ("✓ local engine" in finished.stdout)


def test_list_is_machine_readable():
    """Name, phase, question, designs, faults, engines of every experiment."""
    finished = lab("list", "--json")
    listed = {entry["name"]: entry for entry in json.loads(finished.stdout)}
    assert set(listed) >= {"honest-ruler", "reddit-hug", "retry-storm", "sick-not-dead", "silence"}
    for entry in listed.values():
        assert {"name", "phase", "question", "designs", "faults", "engines"} <= set(entry)
        assert len(entry["designs"]) >= 2


def test_plan_needs_no_engine(tmp_path):
    """Timeline, instances, links and predictions, with Docker out of reach."""
    finished = lab("plan", "silence", DOCKER_HOST=f"unix://{tmp_path}/none")
    assert finished.returncode == 0, finished.stderr
    assert "partition of app | inventory" in finished.stdout
    assert "no-timeout/app-1 -> inventory-1" in finished.stdout
