"""Rules: which requests of a link are struck, and what then happens to them. Pure, and counted.

Counts are of requests in the order in which they arrive at the link, whatever connection they come
on. Which of them a share strikes is drawn from a seed, so the same seed strikes the same numbers.
"""

from __future__ import annotations

import random
import re
from http import HTTPStatus

from lab.proxies.interceptor.heads import Request
from lab.proxies.striking import HttpRule, Strikes

_NO_CONTENT = (204, 304)


def answer_to(request: Request, rule: HttpRule) -> bytes | None:
    """The answer in place of the server's; None when that one is asked."""
    if rule.status is None:
        return None
    body = b"" if rule.status in _NO_CONTENT else rule.body.encode()
    lines = [f"HTTP/1.1 {rule.status} {_reason(rule.status)}", "Server: chaos-lab"]
    if rule.status not in _NO_CONTENT:
        lines += ["Content-Type: text/plain; charset=utf-8", f"Content-Length: {len(body)}"]
    if rule.retry_after_s is not None:
        lines.append(f"Retry-After: {rule.retry_after_s}")
    if closes(request):
        lines.append("Connection: close")
    head = "\r\n".join([*lines, "", ""]).encode()
    return head if request.method == "HEAD" else head + body


def closes(request: Request) -> bool:
    """Whether an answer in the server's place ends the connection.

    Who waits for `100 Continue` may send the body now or not, and nobody could tell which it did.
    """
    return request.expects or not request.keeps_alive


class Rule:
    """One rule on one link, and its counts since it was armed."""

    def __init__(self, spec: HttpRule) -> None:
        self.spec = spec
        self.seen = self.matched = self.struck = 0
        self._path = re.compile(".*" if spec.path is None else glob(spec.path), re.DOTALL)
        self._random = random.Random(spec.seed)

    def matches(self, method: str, path: str) -> bool:
        """Whether such a request is one that it is about."""
        return self.spec.method in (None, method) and self._path.fullmatch(path) is not None

    def strikes(self, request: Request) -> bool:
        """Whether it strikes this request, which is counted."""
        self.seen += 1
        if not self.matches(request.method, request.path):
            return False
        self.matched += 1
        if self.spec.first is not None:
            hit = self.struck < self.spec.first
        else:
            hit = self.spec.share >= 1 or self._random.random() < self.spec.share
        self.struck += hit
        return hit

    def missed(self) -> None:
        """What was struck had no body that could be cut, and so was not."""
        self.struck -= 1

    def counts(self) -> Strikes:
        """What it counted."""
        return Strikes(self.seen, self.matched, self.struck)


class Rules:
    """The rules of a link, in the order in which they were armed: the first that strikes acts."""

    def __init__(self) -> None:
        self.unread = 0  # connections that are open and carry no HTTP
        self.armed: dict[str, Rule] = {}
        self._gone: dict[str, Rule] = {}

    def arm(self, rule: Rule) -> None:
        """Add a rule; one that is armed already stays as it is, with its counts.

        Connections that cannot be read count as a request each that it is not about.
        """
        rule.seen += self.unread
        self.armed.setdefault(rule.spec.name, rule)

    def unread_begins(self) -> None:
        """One more."""
        self.unread += 1
        for rule in self.armed.values():
            rule.seen += 1

    def disarm(self, name: str) -> None:
        """Remove a rule; its counts can still be asked for."""
        if rule := self.armed.pop(name, None):
            self._gone[name] = rule

    def counts(self, name: str) -> Strikes | None:
        """Counts of a rule that is armed, or was."""
        rule = self.armed.get(name) or self._gone.get(name)
        return rule.counts() if rule else None

    def striking(self, request: Request) -> Rule | None:
        """The rule that strikes this request, if any.

        Tries of the lab's own are not counted, and only struck by the rule that they ask for.
        """
        if probe := request.probe:
            rule = self.armed.get(probe.rule)
            return rule if rule and rule.matches(probe.method, probe.path) else None
        if request.is_own:
            return None
        for rule in self.armed.values():
            if rule.strikes(request):
                return rule
        return None


def glob(pattern: str) -> str:
    """A regular expression for a pattern in which only `*` is special: paths hold the others."""
    return ".*".join(map(re.escape, pattern.split("*")))


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
