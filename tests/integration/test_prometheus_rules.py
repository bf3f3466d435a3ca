"""The recording and alert rules, judged by the promtool of the Prometheus that evaluates them."""

from __future__ import annotations

import pytest

from lab.engines.docker import grafana, prometheus
from lab.engines.docker.containers import archive
from lab.engines.docker.images import Images
from lab.engines.docker.up import CATALOGUE
from tests.integration.docker_support import client

pytestmark = pytest.mark.docker

TESTS = "rules.test.yaml"


@pytest.mark.parametrize("command", [["check", "rules", "rules.yaml"], ["test", "rules", TESTS]])
def test_rules_are_valid_and_do_what_they_say(command: list[str]) -> None:
    """Their own tests stand beside them; every alert fires in one, and is silent in another."""
    docker = client()
    folder = grafana.FOLDER / "prometheus"
    container = docker.containers.create(
        Images(docker, print, CATALOGUE).ensure(prometheus.IMAGE),
        ["promtool", *command],
        entrypoint=[],
        working_dir="/rules",
        network_mode="none",
    )
    try:
        container.put_archive("/", archive({f"/rules/{p.name}": p for p in folder.iterdir()}))
        container.start()
        code = container.wait(timeout=60)["StatusCode"]
        assert code == 0, container.logs().decode()
    finally:
        container.remove(force=True)
        docker.close()


def test_every_rule_has_a_test() -> None:
    """By name: a rule that nobody tries can say anything."""
    folder = grafana.FOLDER / "prometheus"
    rules = [
        line.partition(":")[2].strip()
        for line in (folder / "rules.yaml").read_text().splitlines()
        if line.strip().startswith(("- record:", "- alert:"))
    ]
    assert len(rules) >= 10
    tests = (folder / TESTS).read_text()
    assert [rule for rule in rules if rule not in tests] == []
