"""What the documentation says is what the lab does."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from lab.checkers.cycles import ANOMALIES
from lab.checkers.linear import MODELS
from lab.checkers.truth import TRUTHS
from lab.claims import MEASURES
from lab.cli import app, faults, keys
from lab.errors import ExitCode
from lab.faults import KINDS, Fault
from lab.history import ClientOp
from lab.loading import list_experiments, load_experiment
from lab.metrics import LabMetrics
from lab.metrics import exposition as lab_exposition

PROJECT = Path(__file__).resolve().parents[2]
README = (PROJECT / "README.md").read_text()
RESULTS = (PROJECT / "docs" / "results.md").read_text()
CLAIMS = (PROJECT / "docs" / "reference" / "claims.md").read_text()


def test_the_readme_s_experiment_loads(tmp_path):
    """The example is a whole file that the lab takes as it is."""
    (example,) = re.findall(r"```yaml\n(.*?)```", README, flags=re.DOTALL)
    file = tmp_path / "my-experiment.yaml"
    file.write_text(example)
    assert list(load_experiment(file, KINDS).designs) == ["small-pool", "sized-pool"]


def test_the_readme_lists_every_experiment():
    """One row each, and none that does not exist."""
    listed = set(re.findall(r"^\| `([\w-]+)` \|", README, flags=re.MULTILINE))
    assert listed == {path.stem for path in list_experiments(PROJECT)}


def test_every_exit_code_is_explained():
    """A code that only the source knows helps nobody."""
    explained = {int(code) for code in re.findall(r"^\| (\d+) \|", RESULTS, flags=re.MULTILINE)}
    assert explained == {int(code) for code in ExitCode}


@pytest.mark.parametrize("measure", MEASURES)
def test_every_measure_is_explained(measure):
    """The reference names every word of the claims' language."""
    assert re.search(rf"`{re.escape(measure)}[`(]|`{re.escape(measure)} of", CLAIMS)


def test_the_page_of_faults_is_what_the_code_says():
    """Made by `lab list faults --markdown`; whoever adds a kind makes it again."""
    page = (PROJECT / "docs" / "reference" / "faults.md").read_text()
    assert page == faults.as_markdown()


def test_the_page_of_keys_is_what_the_code_says():
    """Made by `lab list keys --markdown`, from the form that files are read with."""
    assert (PROJECT / "docs" / "reference" / "experiment.md").read_text() == keys.as_markdown()


@pytest.mark.parametrize("kind", faults.kinds(), ids=lambda kind: kind.name)
def test_every_kind_s_example_can_be_copied(kind):
    """It is YAML, complete, and what the kind takes."""
    (example,) = YAML(typ="safe").load(kind.example)
    settings = {key: _as_text(value) for key, value in example[kind.name].items()}
    assert KINDS[kind.name].model_validate(settings).describe()
    assert kind.summary
    assert kind.proof
    assert all(setting.description for setting in kind.settings)


def _as_text(value: Any) -> Any:
    """As the loader hands it on: every scalar as it was written."""
    if isinstance(value, dict):
        return {key: _as_text(one) for key, one in value.items()}
    return value if isinstance(value, list) else str(value)


def test_the_fault_of_the_guide_is_one():
    """Its code runs as it stands there, and makes a kind that files can use."""
    guide = (PROJECT / "docs" / "adding" / "fault.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", guide, flags=re.DOTALL)
    made: dict[str, Any] = {"__name__": "lab.faults.mute"}
    exec(compile(code, "fault.md", "exec"), made)  # noqa: S102 - our own page
    mute = made["Mute"].model_validate({"link": "app -> db"})
    assert mute.describe() == "no replies on app -> db"
    assert isinstance(mute, Fault)


def test_every_checker_of_truth_is_explained():
    """Names of findings and anomalies, and every function that a model knows."""
    page = (PROJECT / "docs" / "reference" / "checkers.md").read_text()
    told = set(re.findall(r"`([^`]+)`", page))
    assert {*TRUTHS} <= told
    assert {name.removesuffix("-process").removesuffix("-realtime") for name in ANOMALIES} <= told
    assert {function for model in MODELS for function in model.functions} <= told


def test_the_checker_of_the_guide_is_one():
    """Its code runs as it stands there, and finds what it says."""
    guide = (PROJECT / "docs" / "adding" / "checker.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", guide, flags=re.DOTALL)
    made: dict[str, Any] = {"__name__": "lab.checkers.truth.negative_counters"}
    exec(compile(code, "checker.md", "exec"), made)  # noqa: S102 - our own page
    up = ClientOp("", 0, "increment", "x", 1, None, 0, 1, "ok")
    ops = [up, ClientOp("", 1, "read", "x", None, -1, 2, 3, "ok")]
    assert made["NEGATIVE_COUNTERS"].applies(ops)
    assert made["NEGATIVE_COUNTERS"].check(ops).value == 1
    assert made["NEGATIVE_COUNTERS"].check([up]).value is None


def test_links_between_documents_lead_somewhere():
    """Relative links of all documents."""
    documents = [PROJECT / "README.md", PROJECT / "dashboards" / "README.md"]
    for document in [*documents, *PROJECT.glob("docs/**/*.md")]:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_every_metric_of_the_lab_is_in_its_table():
    """The module's table names exactly what is exported."""
    experiment = load_experiment(PROJECT / "experiments" / "honest-ruler.yaml", KINDS)
    metrics = LabMetrics(experiment, "0", "docker")
    metrics.fault("freeze", "pause", ["app-1"], active=True)
    exported = set(re.findall(r"^# TYPE (\w+)", metrics.exposition(), flags=re.MULTILINE))
    assert set(re.findall(r"`(lab_\w+)`", lab_exposition.__doc__ or "")) == exported


def test_the_command_line_helps():
    """Every command says in one sentence what it does."""
    for command in app.registered_commands:
        assert command.callback is not None
        assert command.callback.__doc__, command.name


def test_the_example_of_a_target_is_one_that_runs():
    """The page shows a whole resolver, as it is."""
    page = (PROJECT / "docs" / "adding" / "target.md").read_text()
    assert (PROJECT / "lab" / "targets" / "postgres.py").read_text() in page
