"""Commands inside instances, on every engine: their streams, their end, and nothing left."""

from __future__ import annotations

import asyncio
import time

import pytest
import pytest_asyncio

from lab.engines import Executable
from lab.errors import EngineError
from tests.contract import tiny
from tests.contract.engines import MODES, Tiny, up


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=MODES)
async def lab(request, tmp_path_factory):
    """The tiny cluster."""
    async with up(request.param, tiny.deployment(), tmp_path_factory.mktemp("run")) as found:
        assert isinstance(found.cluster, Executable)
        yield found


async def run(lab: Tiny, *command: str, timeout_s: float = 5.0) -> tuple[int, str]:
    """A command in the store, to its end."""
    session = await lab.cluster.execute(lab.store, command)
    ended = await session.ended(timeout_s)
    return ended.code, ended.output


@pytest.mark.asyncio(loop_scope="module")
async def test_a_command_has_the_environment_of_its_instance(lab: Tiny):
    """Both outputs and the exit code come back."""
    code, output = await run(lab, "sh", "-c", "echo to $NAME; echo not so well >&2; exit 7")
    assert code == 7
    assert sorted(output.splitlines()) == ["not so well", "to store"]


@pytest.mark.asyncio(loop_scope="module")
async def test_its_input_stays_open_until_it_is_waited_for(lab: Tiny):
    """What is written arrives at once, in order; the end of the input comes last."""
    session = await lab.cluster.execute(lab.store, ["sh", "-c", "read a; read b; cat; echo $b $a"])
    await session.write("one\n")
    await session.write("two\nthree\n")
    ended = await session.ended(5.0)
    assert (ended.code, ended.output.split()) == (0, ["three", "two", "one"])


@pytest.mark.asyncio(loop_scope="module")
async def test_a_command_that_waits_for_a_line_goes_on_within_milliseconds(lab: Tiny):
    """So a fault can be on time although starting a command in a container takes longer."""
    session = await lab.cluster.execute(lab.store, ["sh", "-c", "read -r go; echo gone"])
    await asyncio.sleep(0.3)
    began_s = time.monotonic()
    await session.write("\n")
    assert (await session.ended(5.0)).output == "gone\n"
    assert time.monotonic() - began_s < 0.2


@pytest.mark.asyncio(loop_scope="module")
async def test_a_program_that_is_not_there_is_an_error_or_fails(lab: Tiny):
    """Never a success."""
    said = ""
    try:
        code, said = await run(lab, "no-such-program")
        assert code in (126, 127)
    except EngineError as error:
        said = error.message
    assert "no-such-program" in said


@pytest.mark.asyncio(loop_scope="module")
async def test_a_command_that_takes_too_long_is_an_error_that_says_what_it_said(lab: Tiny):
    """Nobody waits for ever."""
    began_s = time.monotonic()
    with pytest.raises(EngineError, match=r"did not end within 0\.3 s; it said: begun"):
        await run(lab, "sh", "-c", "echo begun; exec sleep 20", timeout_s=0.3)
    assert time.monotonic() - began_s < 3


@pytest.mark.asyncio(loop_scope="module")
async def test_one_that_is_let_go_of_sees_the_end_of_its_input(lab: Tiny):
    """So it does not stay: what waits for a line that never comes ends."""
    script = "echo $$; read -r line; echo over"
    session = await lab.cluster.execute(lab.store, ["sh", "-c", script])
    await session.close()
    await session.close()
    with pytest.raises(EngineError):
        await session.write("late\n")


@pytest.mark.asyncio(loop_scope="module")
async def test_an_instance_that_does_not_run_takes_no_commands(lab: Tiny):
    """The error names it."""
    await lab.cluster.kill(lab.store)
    try:
        with pytest.raises(EngineError, match=r"tiny/store-1"):
            await run(lab, "true")
    finally:
        await lab.cluster.start(lab.store)
    assert (await run(lab, "true"))[0] == 0
