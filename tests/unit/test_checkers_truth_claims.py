"""Claims about truth: what checkers of truth find, said in an experiment's own language."""

from __future__ import annotations

import pytest

from lab import claims, store
from lab.checkers import check, check_claim
from lab.checkers.cycles import ANOMALIES
from lab.checkers.facts import Facts
from lab.checkers.linear import NAME
from lab.checkers.truth import TRUTHS
from lab.claims import parse_claim
from lab.history import ClientOp, History
from lab.verdict import ClaimResult, Status
from tests.unit.checkers_runs import experiment, facts
from tests.unit.records import record


def op(design, function, argument, result, from_s, to_s, process=0, outcome="ok") -> ClientOp:
    return ClientOp(design, process, function, "x", argument, result, from_s, to_s, outcome)


STALE = [
    op("naive", "write", 1, None, 1.0, 1.1),
    op("naive", "write", 2, None, 2.0, 2.1),
    op("naive", "read", None, 1, 2.35, 2.4, process=1),
]
TRUE = [
    one._replace(design="sturdy", result=2 if one.function == "read" else None) for one in STALE
]


def judged(text: str, design: str = "naive") -> ClaimResult:
    known = Facts(experiment(), History(client_ops=[*STALE, *TRUE]))
    return check_claim(parse_claim(text), design, "holds", known)


def test_the_language_knows_every_checker():
    """And no other: a name that nothing finds would always be unmeasured."""
    assert set(claims.TRUTHS) == {*TRUTHS, NAME}
    assert set(claims.ANOMALIES) == set(ANOMALIES)
    assert all(parse_claim(f"{name} == 0").measure.name == name for name in claims.ANOMALIES)
    units = {name: parse_claim(f"{name} >= 0{'s' * (name == 'stale reads')}") for name in TRUTHS}
    assert {n: c.measure.unit for n, c in units.items()} == {n: t.unit for n, t in TRUTHS.items()}


@pytest.mark.parametrize(
    ("text", "naive", "sturdy", "measured"),
    [
        ("stale reads < 100ms", False, True, "250 ms"),
        ("stale reads < 300ms", True, True, "250 ms"),
        ("lost writes == 0", False, True, "1"),
        ("linearizable", False, True, "1"),
        ("not linearizable == 0", False, True, "1"),
        ("phantom writes == 0", True, True, "0"),
    ],
)
def test_a_claim_is_about_one_design(text, naive, sturdy, measured):
    """The same claim of both, each by its own operations."""
    result = judged(text)
    assert (result.true, judged(text, "sturdy").true) == (naive, sturdy)
    assert result.measured == measured


def test_what_was_not_recorded_is_unmeasured():
    """Never zero: no transaction, no queue, no operation on data at all."""
    for text in ("G-single == 0", "out of order == 0", "lost updates == 0"):
        result = judged(text)
        assert result.true is None
        assert result.reason.startswith("no ")
    empty = check_claim(parse_claim("linearizable"), "naive", "holds", facts())
    assert (empty.true, empty.reason) == (None, "no object to judge")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("lost writes == 0 during fault", "known for the whole run only"),
        ("lost writes of follow == 0", "cannot be told apart by request"),
        ("lost writes(1s) == 0", "takes no argument"),
        ("stale reads < 5", "duration"),
        ("linearizable during fault", "is not a claim"),
    ],
)
def test_what_makes_no_sense_is_refused(text, why):
    """With the reason, before anything runs."""
    with pytest.raises(ValueError, match=why):
        parse_claim(text)


def test_one_design_beside_another():
    """`3x sturdy` compares findings as it compares latencies."""
    assert judged("lost writes > 3x sturdy").true is True
    assert judged("stale reads < 2x baseline").reason.endswith("known for the whole run only")


def test_a_run_is_judged_again_from_disk(tmp_path):
    """Operations on data are saved, and the same claims come out."""
    run = record()
    first, *_ = run.experiment.designs
    run.history.client_ops += [one._replace(design=first) for one in STALE]
    claim = parse_claim("stale reads < 100ms")
    design = run.experiment.designs[first].model_copy(update={"holds": (claim,), "breaks": ()})
    designs = {**run.experiment.designs, first: design}
    run.experiment = run.experiment.model_copy(update={"designs": designs, "faults": ()})
    run.faults = ()
    (tmp_path / "run").mkdir()
    store.save(check(run), tmp_path / "run")
    again = check(store.load(tmp_path / "run"))
    assert again.history.client_ops == run.history.client_ops
    (result,) = [one for one in again.verdict.claims if one.claim == claim.text]
    assert (result.status, result.measured) == (Status.NOT_AS_PREDICTED, "250 ms")
