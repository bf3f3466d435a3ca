"""Faults of links as values: what they accept, and what chance allows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from lab.engines import Exchange, Probe, Volley
from lab.faults import KINDS
from lab.faults.chance import plausible
from lab.faults.packets import total
from lab.faults.ramp import PARTS
from lab.faults.slow_connect import words
from lab.faults.toxic import kept, rate_per_s, seen_bytes
from lab.units import format_range

LINK = {"link": "app -> db"}
RANDOM = ("corrupt", "duplicate", "loss", "reorder")


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("bandwidth", {"rate": "999B/s"}),
        ("bandwidth", {"rate": "1500B/s"}),
        ("bandwidth", {"rate": "200KB"}),
        ("blackhole", {"stream": "sideways"}),
        ("blackhole", {"share": "30%"}),
        ("limit_data", {"bytes": "1KB", "share": "1%"}),
        ("flap", {"period": "1s", "down": "1s"}),
        ("flap", {"period": "1s", "down": "950ms"}),
        ("flap", {"period": "1m", "down": "1s"}),
        ("duplicate", {"share": "5%", "stream": "sideways"}),
        ("latency", {"delay": "1s", "share": "0%"}),
        ("latency", {"delay": "1s", "share": "101%"}),
        ("limit_data", {"bytes": "1MB"}),
        ("loss", {"share": "0.1%"}),
        ("loss", {"share": "100%"}),
        ("packet_delay", {"delay": "4s"}),
        ("reorder", {"share": "5%", "delay": "1ms"}),
        ("slicer", {"size": "0B", "delay": "1ms"}),
        ("slicer", {"size": "1KB", "delay": "0ms"}),
        ("slow_close", {"delay": "1ms"}),
        ("slow_connect", {"delay": "5ms"}),
        ("latency", {"delay": "100ms to 100ms"}),
        ("latency", {"delay": "100ms to 200"}),
        ("latency", {"delay": "100ms to 200ms over 0s"}),
        ("latency", {"delay": "100ms to 200ms to 300ms"}),
        ("latency", {"delay": "100ms to 200ms", "share": "50%"}),
        ("bandwidth", {"rate": "1MB/s to 500B/s"}),
        ("bandwidth", {"rate": "1MB/s to 1500B/s"}),
        ("bandwidth", {"rate": "1MB/s to 31KB/s"}),
    ],
)
def test_what_could_not_be_proved_is_refused(kind: str, settings: dict[str, str]) -> None:
    """A toxic that does nothing, or nothing that a probe could see, is a mistake in the file."""
    with pytest.raises(ValidationError):
        KINDS[kind].model_validate({**LINK, **settings})


def test_faults_say_what_they_do() -> None:
    """In the words of the report."""
    said = {
        KINDS[kind].model_validate({**LINK, **settings}).describe()
        for kind, settings in (
            ("bandwidth", {"rate": "100KB/s"}),
            ("bandwidth", {"rate": "1024KB/s to 512KB/s over 10s"}),
            ("blackhole", {"stream": "downstream"}),
            ("latency", {"delay": "0ms to 500ms", "jitter": "5ms"}),
            ("latency", {"delay": "200ms", "share": "20%"}),
            ("flap", {"period": "2s", "down": "1s"}),
            ("loss", {"share": "5%"}),
            ("packet_delay", {"delay": "40ms", "stream": "upstream"}),
            ("reorder", {"share": "5%"}),
            ("slow_connect", {"delay": "1s"}),
        )
    }
    assert said == {
        "bandwidth 97.7 KiB/s on app -> db",
        "bandwidth 1000 KiB/s to 500 KiB/s over 10 s on app -> db",
        "black hole for replies on app -> db",
        "latency 0 ms to 500 ms ± 5 ms on app -> db",
        "latency 200 ms on 20 % of connections of app -> db",
        "down for 1 s every 2 s: app -> db",
        "loss of 5 % of packets on app -> db",
        "packets to the server 40 ms late on app -> db",
        "5 % of packets overtaken for 20 ms on app -> db",
        "connecting takes 1 s on app -> db",
    }


def test_what_was_seen_of_packets_is_told_for_all_ends_together() -> None:
    """Counts are added up, times are a range, and each outcome is said once."""
    shots = [
        Volley(200, 190, 3, 4, 0, 0.0001, 0.002),
        Volley(200, 185, 1, 0, 2, 0.00005, 0.001),
        Volley(200, 0, 0, 0, 0, None, None),
    ]
    told = {kind: KINDS[kind].model_validate({**LINK, "share": "5%"}) for kind in RANDOM}
    assert {kind: fault.words(total(shots)) for kind, fault in told.items()} == {
        "corrupt": "225 of 600 datagrams lost, 2 checksums wrong",
        "duplicate": "4 of 600 datagrams came twice",
        "loss": "225 of 600 datagrams lost",
        "reorder": "4 of 600 datagrams overtaken",
    }
    assert format_range([0.0218, 0.023, 0.0225]) == "21.8 ms to 23 ms"
    assert format_range([0.0218]) == "21.8 ms"
    assert words([]) == "no link"
    answered = [Probe("answered", 0.305, 0.303), Probe("answered", 0.306, 0.304)]
    silent = Probe("silent", 0.7, None)
    assert words([*answered, silent, silent]) == (
        "connected after 303 ms to 304 ms, answered 2 ms later, not connected: silent"
    )


@pytest.mark.parametrize(
    ("hits", "tries", "share", "plausible_"),
    [
        (6, 20, 0.3, True),
        (1, 20, 0.3, True),
        (0, 20, 0.3, False),
        (14, 20, 0.3, False),
        (20, 20, 0.5, False),
        (5, 100, 0.05, True),
        (0, 100, 0.05, True),
        (20, 100, 0.05, False),
        (100, 5000, 0.02, True),
        (150, 5000, 0.02, False),
        (0, 0, 0.02, True),
    ],
)
def test_chance_explains_what_is_near_and_not_what_is_far(
    hits: int, tries: int, share: float, plausible_: bool
) -> None:
    """Bounds checked against tables of the binomial distribution."""
    assert plausible(hits, tries, share) == plausible_


@given(st.integers(20, 3000), st.floats(0.02, 0.98))
def test_what_is_to_be_expected_is_plausible(tries: int, share: float) -> None:
    """Whatever the share, the number nearest to it passes."""
    assert plausible(round(tries * share), tries, share)


def test_what_was_sent_has_arrived_with_the_last_answer() -> None:
    """And what came back counts over the whole try when its end never came."""
    whole = Exchange("answered", 1.1, 1000, 500, 0.2, 1.0)
    assert rate_per_s(whole, "upstream") == 1000
    assert rate_per_s(whole, "downstream") == 500
    stopped = Exchange("silent", 2.0, 1000, 500, 0.2, 0.5)
    assert rate_per_s(stopped, "downstream") == 250
    assert rate_per_s(Exchange("silent", 2.0, 1000, 0, None, None), "upstream") is None


def test_silence_is_no_rate() -> None:
    """A link that carries nothing at all is broken in another way."""
    assert not kept(None, 1000)
    assert kept(900, 1000)
    assert not kept(2000, 1000)


@given(st.floats(1, 1e9))
def test_a_try_stays_small(rate: float) -> None:
    """It must not be a load of its own."""
    assert 1000 <= seen_bytes(rate) <= 64_000


def delays_ms(value_s: float, delay: str) -> list[int]:
    """The delays that make up one value of a ramp, in their order."""
    fault = KINDS["latency"].model_validate({**LINK, "delay": delay})
    return [toxic.attributes["latency"] for toxic in fault.parts(value_s)]


@pytest.mark.parametrize(
    ("value_s", "delay", "parts"),
    [
        (0.0, "0ms to 500ms", [0]),
        (0.12, "0ms to 500ms", [0, 50, 50, 20]),
        (0.5, "500ms to 0ms", [0] + [50] * 10),
        (0.15, "100ms to 200ms", [100, 50]),
        (0.02, "0ms to 40ms", [0, 20]),
        (2.5, "0s to 5s", [0] + [500] * 5),
    ],
)
def test_a_delay_that_changes_is_made_of_small_ones(value_s, delay, parts) -> None:
    """A step changes the last one only, so what it lets go of early is a tenth at most."""
    assert delays_ms(value_s, delay) == parts


@given(st.floats(0, 1), st.integers(0, 3000), st.integers(0, 3000))
def test_the_parts_of_a_delay_add_up(done: float, start_ms: int, end_ms: int) -> None:
    """To the value, and never by more parts than a chain should have."""
    if start_ms == end_ms:
        return
    value_ms = start_ms + done * (end_ms - start_ms)
    parts = delays_ms(value_ms / 1000, f"{start_ms}ms to {end_ms}ms")
    assert abs(sum(parts) - value_ms) <= 6  # each is rounded to a millisecond
    assert len(parts) <= 1 + PARTS


@pytest.mark.parametrize(
    ("value", "rate", "line"),
    [
        (200_000, "200KB/s to 100KB/s", 200),
        (154_000, "200KB/s to 100KB/s", 150),
        (100_000, "100KB/s to 200KB/s", 100),
        (196_000, "100KB/s to 200KB/s", 200),
    ],
)
def test_a_rate_that_changes_is_one_line_at_a_time(value, rate, line) -> None:
    """Several in a row would each take their time for the same bytes."""
    fault = KINDS["bandwidth"].model_validate({**LINK, "rate": rate})
    assert [toxic.attributes["rate"] for toxic in fault.parts(value)] == [line]


def test_two_latencies_may_meet_and_their_toxics_have_names_of_their_own() -> None:
    """Nothing of the one heals the other."""
    names = {
        toxic.name
        for name in ("slow", "slower")
        for toxic in KINDS["latency"](link="a -> b", delay=0.1).placed(name, 1.0).toxics()
    }
    assert names == {"lab-slow-downstream", "lab-slower-downstream"}
