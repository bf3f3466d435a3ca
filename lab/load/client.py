"""One operation: its attempts, the pauses between them, and what became of it in the end.

ok    an attempt was answered with a status below 400
info  none was, and at least one may have had its effect all the same
fail  none was, and none had: refused, or answered with 400 and above
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from lab.load.connection import Answer, Pool
from lab.load.recorder import Recorder
from lab.load.retry import Retrier, worth_retrying
from lab.load.wire import Template


class Client:
    """Carries out operations; `now` reads the load's clock in seconds."""

    def __init__(
        self,
        pool: Pool,
        templates: list[Template],
        retrier: Retrier,
        recorder: Recorder,
        now: Callable[[], float],
    ) -> None:
        self.pool = pool
        self.templates = templates
        self.retrier = retrier
        self.recorder = recorder
        self.now = now
        self.patient = True
        self.finished: Callable[[], None] = lambda: None
        self.waiting: dict[Operation, asyncio.TimerHandle] = {}

    def begin(
        self, request: int, key: str, due_s: float | None, then: Callable[[], None] | None = None
    ) -> None:
        """Start an operation; `then` is called when it is over.

        `due_s` None is a closed loop: due whenever it happens to be sent.
        """
        sent_s = self.now()
        if due_s is None:
            due_s = sent_s
        self.recorder.began(sent_s - due_s)
        self.retrier.first_attempt()
        operation = Operation(self, request, key, due_s, sent_s)
        operation.then = then
        operation.attempt()

    def give_up(self) -> None:
        """No more retries: attempts in flight are the last ones, pauses end at once."""
        self.patient = False
        for operation in list(self.waiting):
            operation.stop_waiting()


class Operation:
    """One operation between its first attempt and its outcome."""

    __slots__ = (
        "_answer",
        "_attempts",
        "_client",
        "_due_s",
        "_key",
        "_request",
        "_sent_s",
        "_unsure",
        "_wire",
        "then",
    )

    def __init__(self, client: Client, request: int, key: str, due_s: float, sent_s: float) -> None:
        self._client = client
        self._request, self._key = request, key
        self._due_s, self._sent_s = due_s, sent_s
        self.then: Callable[[], None] | None = None
        self._wire = client.templates[request].wire(key)
        self._attempts = 0
        self._unsure = False
        self._answer = Answer("fail", 0, "")

    def attempt(self) -> None:
        """Try, for the first time or again."""
        client = self._client
        client.waiting.pop(self, None)
        self._attempts += 1
        client.recorder.attempts += 1
        idempotent = client.templates[self._request].idempotent
        client.pool.send(self._wire, idempotent=idempotent, deliver=self._answered)

    def stop_waiting(self) -> None:
        """End the pause before the next attempt, and with it the operation."""
        self._client.waiting.pop(self).cancel()
        self._finish()

    def _answered(self, answer: Answer) -> None:
        client = self._client
        self._answer = answer
        self._unsure |= answer.outcome == "info"
        pause_s = None
        if client.patient and worth_retrying(answer.outcome, answer.status):
            # "saturated" is this driver's own trouble; trying again would only add to it.
            pause_s = (
                None if answer.error == "saturated" else client.retrier.pause_s(self._attempts)
            )
        if pause_s is None:
            self._finish()
        elif pause_s == 0:
            self.attempt()
        else:
            client.waiting[self] = client.pool.loop.call_later(pause_s, self.attempt)

    def _finish(self) -> None:
        outcome, status, error = self._answer
        if outcome == "fail" and self._unsure:
            outcome = "info"  # an earlier attempt timed out, and may still succeed
        client = self._client
        done_s = client.now()
        client.recorder.finished(
            (
                self._request,
                self._key,
                self._due_s,
                self._sent_s,
                done_s,
                outcome,
                status,
                self._attempts,
                error,
            )
        )
        if self.then:
            self.then()
        client.finished()
