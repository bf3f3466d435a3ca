"""What a cluster may be able to do to the certificates that it gave to services: a protocol."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:  # small processes of an engine start quicker without the whole language of files
    from lab.plan import Instance, LinkEnd

Flaw = Literal["expired", "wrong_name", "unknown_ca"]
"""What is wrong with a certificate from the moment it is made."""

Outcome = Literal[
    "verifies", "expired", "wrong name", "unknown authority", "not trusted", "no TLS", "no answer"
]
"""How a TLS handshake went for a client that trusts the run's authority and nobody else.

`not trusted`: OpenSSL refuses it for another reason than the three before; `no TLS`: the server
speaks, but something else.
"""


@dataclass(frozen=True, slots=True)
class Handshake:
    """One TLS handshake. `left_s` is how long what is served is still valid, negative after that.

    `is_own`: what is served is the certificate that the instance got when it came up.
    """

    outcome: Outcome
    left_s: float | None = None
    is_own: bool = False


@runtime_checkable
class Certified(Protocol):
    """Services have certificates of the run's own authority (`x-lab.certificates`)."""

    async def certify(
        self, instance: Instance, flaw: Flaw | None = None, lifetime_s: float | None = None
    ) -> None:
        """Put another pair of certificate and key into its folder; it is not told of it.

        With neither a flaw nor a lifetime: the one that it came up with.

        Raises:
            EngineError: it has none, or its files cannot be written.
        """
        ...

    async def own_certificate_lies(self, instance: Instance) -> bool:
        """Whether the pair in its folder is the one that it came up with."""
        ...

    async def handshake(self, end: LinkEnd, timeout_s: float) -> Handshake:
        """Open a TLS connection over a link, as a client that looks for the service's name."""
        ...
