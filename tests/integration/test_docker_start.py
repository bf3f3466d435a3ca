"""What goes into a container and what stays behind: files, volumes, jobs."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.topology import File
from tests.contract import tiny
from tests.integration.docker_support import left_of, up

pytestmark = pytest.mark.docker


async def test_files_volumes_and_order(tmp_path: Path) -> None:
    """A job is waited for, files can be read, a volume outlives a kill; then all is gone."""
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "name.txt").write_text("from a file")
    read = (
        "import os; os.environ['NAME'] = open('/etc/conf/name.txt').read()"
        " + (open('/data/x').read() if os.path.exists('/data/x') else '');"
        "open('/data/x', 'w').write(' again')\n"
    )
    job = tiny.server("job", command=("python", "-c", "print('work done')"))
    store = tiny.server(
        "store",
        command=("python", "-c", read + tiny.SERVER),
        files=(File(tmp_path / "conf", "/etc/conf"),),
        volumes=("data:/data",),
        tmpfs=("/scratch:size=1m",),
        depends_on={"job": "service_completed_successfully"},
        init=True,
    )
    async with up(tiny.deployment(store=store, job=job), tmp_path) as lab:
        assert (await lab.ask("/new/store"))["text"] == "from a file"
        await lab.cluster.kill(lab.store)
        await lab.cluster.start(lab.store)
        assert (await lab.ask("/new/store"))["text"] == "from a file again"
        assert await lab.cluster.residue() == []  # the job has ended, as it should
        run_id = lab.cluster.layout.run_id
        # app, store, cache, other, job; namespace, proxy, agent, Prometheus; network; volume
        assert len(left_of(run_id)) == 11
    assert left_of(run_id) == []
    logs = {path.name for path in (tmp_path / "logs").iterdir()}
    assert {"tiny-app-1.log", "tiny-job-1.log", "lab-toxiproxy.log", "lab-prometheus.log"} <= logs
    assert "work done" in (tmp_path / "logs" / "tiny-job-1.log").read_text()
