"""Messages as lines: what is written is what is read, and a replay is exactly what was seen."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lab import store
from lab.live.reducer import reduce
from lab.messages import Finished, Guessed, Message, PhaseStarted, Progress
from lab.record import Record
from lab.stream import dump, parse
from lab.web import recorded
from lab.web.recording import OLD
from tests.unit import streams


@pytest.fixture(scope="module")
def record() -> Record:
    return streams.record()


@pytest.fixture(scope="module")
def messages(record: Record) -> list[Message]:
    told = list(streams.messages(record))
    told.insert(6, Guessed(0.0, "pool-sized", "holds"))
    return told


def test_every_message_is_the_same_after_a_trip_through_a_line(
    record: Record, messages: list[Message]
) -> None:
    assert len({type(message) for message in messages}) == 11
    for message in messages:
        line = dump(message)
        assert "\n" not in line
        assert parse(line, lambda: record) == message


def test_a_line_of_another_version_is_refused(record: Record) -> None:
    with pytest.raises(ValueError, match="Sung"):
        parse('{"is":"Sung"}', lambda: record)


def test_a_saved_run_replays_exactly_as_it_was_seen(
    record: Record, messages: list[Message], tmp_path: Path
) -> None:
    folder = _saved(record, messages, tmp_path)
    replay = recorded(folder)
    assert replay.missing == ""
    for count in (0, 3, 40, 90, 41, len(messages) - 1):
        assert replay.state(count) == reduce(messages[:count])
    assert replay.state().record == store.load(folder)


def test_a_line_is_small(record: Record, messages: list[Message]) -> None:
    """A second of one design in a few hundred bytes: half an hour of three designs is 2 MB."""
    sizes = [len(dump(message)) for message in messages[1:]]
    assert sum(sizes) / len(record.experiment.designs) / record.experiment.duration_s < 900


def test_nothing_is_written_before_the_load(messages: list[Message], tmp_path: Path) -> None:
    log = store.MessageLog(tmp_path)
    first = next(i for i, m in enumerate(messages) if isinstance(m, PhaseStarted))
    for message in messages[:first]:
        log.write(message)
    assert list(tmp_path.iterdir()) == []
    log.write(messages[first])
    log.close()
    lines = (tmp_path / store.MESSAGES).read_text().splitlines()
    assert [json.loads(line)["is"] for line in lines] == [
        type(message).__name__ for message in messages[: first + 1]
    ]


def test_a_disk_that_fails_ends_the_replay_and_not_the_run(tmp_path: Path) -> None:
    log = store.MessageLog(tmp_path / "gone")
    log.write(PhaseStarted("baseline", 0.0))
    assert log.trouble == "no replay of this run: No such file or directory"
    log.write(Progress("still going"))


def test_a_broken_last_line_is_left_out(
    record: Record, messages: list[Message], tmp_path: Path
) -> None:
    folder = _saved(record, messages, tmp_path)
    with (folder / store.MESSAGES).open("a") as file:
        file.write('{"is":"Noted","at_')
    assert len(recorded(folder)) == len(messages)


def test_a_run_of_before_is_rebuilt_and_says_what_is_missing(
    record: Record, messages: list[Message], tmp_path: Path
) -> None:
    folder = _saved(record, messages, tmp_path)
    (folder / store.MESSAGES).unlink()
    replay = recorded(folder)
    assert replay.missing == OLD
    middle = replay.state(replay.count_at(15.0))
    assert middle.phase == "fault"
    assert middle.faults["latency"].active
    assert middle.faults["latency"].record.during == "round trip 203 ms"
    assert middle.faults["latency"].record.healed_s is None, "the past knows nothing of what came"
    assert {len(design.seconds) for design in middle.designs.values()} == {15}
    assert middle.designs["pool-default"].claims[0].status == "broken"
    last = replay.state()
    assert last.record is not None
    assert last.designs["pool-sized"].why == record.whys["pool-sized"]


def _saved(record: Record, messages: list[Message], root: Path) -> Path:
    folder = root / record.experiment.name / f"20260101-000000-{record.run_id}"
    folder.mkdir(parents=True)
    log = store.MessageLog(folder)
    for message in messages:
        log.write(message)
    log.close()
    store.save(record, folder)
    assert isinstance(messages[-1], Finished)
    return folder
