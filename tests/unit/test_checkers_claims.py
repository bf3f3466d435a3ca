"""Claims: true, false, or neither, and what each makes of the verdict."""

from __future__ import annotations

import pytest

from lab.checkers import Facts, check_claim, check_claims, check_requires
from lab.checkers.claims import compare
from lab.claims import Operator, parse_claim
from lab.history import Op
from lab.record import Cost
from lab.verdict import ClaimResult, Side, Status
from tests.unit.checkers_runs import facts, healthy, op, sample, sick_in_fault, steady


def _both_designs() -> list[Op]:
    return [*steady(sick_in_fault), *steady(healthy, "sturdy")]


def _checked(text: str, known: Facts | None = None, design: str = "naive") -> ClaimResult:
    return check_claim(parse_claim(text), design, "holds", known or facts(_both_designs()))


@pytest.mark.parametrize(
    ("text", "true", "measured", "bound"),
    [
        ("p90 < 300ms during fault", False, "1 s", "300 ms"),
        ("p90 < 300ms during baseline", True, "10 ms", "300 ms"),
        ("ok >= 99% during fault", False, "0 %", "99 %"),
        ("errors == 100% during fault", True, "100 %", "100 %"),
        ("p50 < 3x baseline during fault", False, "1 s", "30 ms (3x baseline, 10 ms)"),
        ("p50 > 20x sturdy during fault", True, "1 s", "200 ms (20x sturdy, 10 ms)"),
        ("ok <= -20 points over sturdy during fault", True, "0 %",
         "80 % (-20 points over sturdy, 100 %)"),
        ("errors > 99 points over baseline during slow-db", True, "100 %",
         "99 % (99 points over baseline, 0 %)"),
        ("recovered within 2s", True, "2 s", "2 s"),
        ("recovered within 1s", False, "2 s", "1 s"),
        ("recovery > 2x sturdy", True, "2 s", "at once (2x sturdy, at once)"),
        ("offered > 9/s", True, "10/s", "9/s"),
        ("goodput < 1/s during fault", True, "0/s", "1/s"),
        ("in_flight >= 10 during fault", True, "10", "10"),
    ],
)  # fmt: skip
def test_claim_of_the_sick_design(text: str, true: bool, measured: str, bound: str) -> None:
    """Plain bounds, multiples of a phase or design, and points over one, as people read them."""
    result = _checked(text)
    assert (result.true, result.measured, result.bound) == (true, measured, bound)
    assert result.reason == ""


def test_flipping_a_claim_flips_its_status() -> None:
    """The same facts make a claim as predicted on one side and not on the other."""
    known = facts(_both_designs())
    for text in ("ok >= 99% during fault", "ok >= 99% during baseline"):
        sides: tuple[Side, ...] = ("holds", "breaks", "pays")
        results = [check_claim(parse_claim(text), "naive", side, known) for side in sides]
        holds, breaks, pays = (result.status for result in results)
        assert {holds, breaks} == {Status.AS_PREDICTED, Status.NOT_AS_PREDICTED}
        assert holds is pays


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("p99 < 1s during fault", "80 operations, needs 100"),
        ("p90 < 1s from 12s to 12.5s", "5 operations, needs 10"),
        ("peak(queue) > 1", "no value of `queue`"),
        ("cpu < 1", "nothing was measured"),
        ("ok > 1% during nowhere", "no phase or fault `nowhere`"),
        ("ok > 1% from 5s to 50s", "leaves the load"),
        ("p50 < 3x nowhere", "nowhere: the run has no such phase, fault or design"),
        ("peak(queue) > 3x sturdy", "no value of `queue`"),
    ],
)
def test_unmeasured_is_neither_true_nor_false(text: str, reason: str) -> None:
    """Without its number a claim is unknown on every side, with the reason."""
    known = facts(_both_designs())
    for side in ("holds", "breaks"):
        result = check_claim(parse_claim(text), "naive", side, known)  # type: ignore[arg-type]
        assert result.true is None
        assert result.status is Status.UNKNOWN
        assert reason in result.reason


def test_bound_that_could_not_be_measured() -> None:
    """A comparison with a design of which nothing is known says which side is missing."""
    result = _checked("max < 3x sturdy during fault", facts(steady(healthy)))
    assert result.true is None
    assert result.measured == "10 ms"
    assert result.bound == "? (3x sturdy, ?)"
    assert result.reason == "sturdy: 0 operations, needs 1"


def test_costs_of_two_designs() -> None:
    """Costs compare like everything else."""
    known = facts(costs={"naive": Cost(2, 2.0, 2.0**28, 1000), "sturdy": Cost(4, 5.0, 1.0, 1000)})
    assert _checked("cpu < 0.5x sturdy", known).true
    assert _checked("containers == 2", known).true
    assert _checked("memory < 256MiB", known).true is False


@pytest.mark.parametrize(
    ("operator", "answers"),
    [
        ("<", (True, False, False)),
        ("<=", (True, True, False)),
        (">", (False, False, True)),
        (">=", (False, True, True)),
        ("==", (False, True, False)),
    ],
)
def test_operators(operator: Operator, answers: tuple[bool, bool, bool]) -> None:
    """Each operator below, at and above its limit; rounding of floats is not a difference."""
    limit = 99.9 / 100
    assert limit > 999 / 1000  # the reason why equality needs care
    values = (0.998, 999 / 1000, 1.0)
    assert tuple(compare(value, operator, limit) for value in values) == answers


def test_first_broken_second() -> None:
    """A false claim knows the first second of its window that broke it, a true one has none."""

    def answer(due_s: float) -> tuple[float, str]:
        return (3.0, "ok") if 14.2 <= due_s < 17 else (0.01, "ok")

    known = facts(steady(answer))
    assert _checked("p90 < 1s during fault", known).first_broken_s == 14.0
    assert _checked("within(1s) > 99% from 10.5s to 19s", known).first_broken_s == 13.5
    assert _checked("p50 < 1s during fault", known).first_broken_s is None
    assert _checked("in_flight < 2 during fault", known).first_broken_s is None


def test_equal_digits_are_told_apart() -> None:
    """A false claim never prints the same number on both sides."""
    ops = [op(n / 100, 0.01, "ok" if n % 800 else "fail") for n in range(3400)]
    result = _checked("ok > 99.9%", facts(ops))
    assert result.true is False
    assert result.measured != result.bound


def test_every_side_of_every_design_is_checked() -> None:
    """Results come in the order of the file, one for each claim."""
    known = facts(
        _both_designs(),
        [sample(15, 3, design="sturdy")],
        pays=["peak(queue) > 2"],
        holds=["ok >= 99%", "recovered within 5s"],
    )
    results = check_claims(known)
    assert [(r.design, r.side, r.true) for r in results] == [
        ("naive", "breaks", False),
        ("sturdy", "holds", True),
        ("sturdy", "holds", True),
        ("sturdy", "pays", True),
    ]
    assert all(r.status is Status.AS_PREDICTED for r in results)


def test_requires_are_guards() -> None:
    """What a run must show is met when true, and not when false or unmeasured."""
    requires = ["errors > 50% during fault", "errors > 3x sturdy", "ok > 50% during fault",
                "peak(queue) > 0"]  # fmt: skip
    met = check_requires(facts(_both_designs(), requires=requires))
    assert [guard.met for guard in met] == [True, True, False, False]
    assert {guard.design for guard in met} == {"naive"}
    assert "measured 100 %" in met[0].detail
    assert "3x sturdy" in met[1].detail
    assert "no value of `queue`" in met[3].detail
