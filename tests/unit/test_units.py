"""Written quantities: what is read, what is refused, and how numbers are shown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab import units


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("500ms", 0.5), ("1.5s", 1.5), ("2m", 120), ("1m30s", 90), ("250us", 0.00025), ("1h", 3600)],
)
def test_durations_are_read_in_seconds(text, seconds):
    """A duration's unit decides its size."""
    assert units.parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["500", "", "ms", "5 parsecs", "-1s", "1s 2", "1e3s"])
def test_a_duration_without_a_known_unit_is_refused(text):
    """A bare number could mean anything, so it means nothing."""
    with pytest.raises(ValueError, match="not a duration"):
        units.parse_duration(text)


def test_rates_are_read_per_second():
    """The blog's 500,000 visitors an hour are 139 a second."""
    assert units.parse_rate("500000/h") == pytest.approx(138.9, abs=0.1)
    assert units.parse_rate("60/m") == 1


@pytest.mark.parametrize(
    ("text", "share"), [("1%", 0.01), ("99.9%", 0.999), ("0%", 0), ("100%", 1)]
)
def test_shares_are_read_as_parts_of_one(text, share):
    """Percent in files, parts of one inside."""
    assert units.parse_share(text) == pytest.approx(share)


@pytest.mark.parametrize("text", ["101%", "0.5", "-1%", "%"])
def test_a_share_beyond_all_is_refused(text):
    """There is no 101 % of requests."""
    with pytest.raises(ValueError, match="not a share"):
        units.parse_share(text)


def test_rates_of_bytes_are_read_per_second():
    """A size and a second, and nothing else."""
    assert units.parse_byte_rate("200KB/s") == 200_000
    assert units.parse_byte_rate("1 MiB / s") == 2**20


@pytest.mark.parametrize("text", ["200KB", "200/s", "200KB/m", "200kb/s", "/s", "1Mbit/s", ""])
def test_a_rate_of_bytes_without_its_units_is_refused(text):
    """Bits are not bytes, and minutes are not seconds."""
    with pytest.raises(ValueError, match="not a rate of bytes"):
        units.parse_byte_rate(text)


def test_sizes_know_both_kinds_of_thousand():
    """KiB is 1024 and KB is 1000."""
    assert units.parse_size("64KiB") == 65536
    assert units.parse_size("1GB") == 10**9


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 ms"),
        (0.00012, "120 us"),
        (0.0012, "1.2 ms"),
        (0.35, "350 ms"),
        (2.136, "2.14 s"),
        (61, "61 s"),
    ],
)
def test_durations_are_shown_short(seconds, text):
    """Three significant digits in the unit a person would choose."""
    assert units.format_duration(seconds) == text


@given(st.floats(min_value=1e-4, max_value=5000))
def test_a_shown_duration_reads_back_nearly_the_same(seconds):
    """What the report prints can be written into a claim."""
    shown = units.format_duration(seconds).replace(" ", "")
    assert units.parse_duration(shown) == pytest.approx(seconds, rel=0.06)


@pytest.mark.parametrize(
    ("text", "seconds"), [("-30s", -30), ("+1m30s", 90), ("500ms", 0.5), (" -1h ", -3600)]
)
def test_an_offset_is_a_duration_with_a_sign(text: str, seconds: float):
    """Ahead without one."""
    assert units.parse_offset(text) == seconds


@pytest.mark.parametrize("text", ["", "-", "--1s", "+-1s", "- ", "-30", "1s-"])
def test_what_is_no_offset(text: str):
    """A sign, a number and a unit."""
    with pytest.raises(ValueError, match="not a duration"):
        units.parse_offset(text)
