"""Operations on data go to disk and come back as they were."""

from __future__ import annotations

import json
import math

from hypothesis import given
from hypothesis import strategies as st

from lab.history import ClientOp, History, dump_lines, load_lines

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3).map(tuple),
    max_leaves=8,
)
TIMES = st.integers(0, 10**9).map(lambda us: us / 1e6)


@given(
    st.builds(
        ClientOp,
        *(st.just("safe"), st.integers(0, 99), st.sampled_from(["read", "txn"]), st.text()),
        *(VALUES, VALUES, TIMES, TIMES, st.sampled_from(["ok", "fail", "info"]), st.text()),
    )
)
def test_a_client_s_operation_comes_back(op):
    """Values keep their shape, with tuples for arrays, and times to the microsecond."""
    (line,) = dump_lines([op])
    assert json.loads(line)["type"] == "client-op"
    assert load_lines([line]).client_ops == [op]


def test_a_history_without_them_loads():
    """Runs of before have no such lines."""
    line = '{"type":"event","at_s":1,"kind":"note","text":"x","data":{}}'
    assert load_lines([line]).client_ops == []
    assert History().client_ops == []


def test_an_unanswered_operation_never_ends():
    """Its effect may come at any later time."""
    op = ClientOp("", 1, "write", "x", 1, None, 2.0, 3.0, "info", "timeout")
    assert op.end_s == math.inf
    assert op._replace(outcome="ok").end_s == 3.0
