"""The cable of a container, pulled: no packet in or out but its own to itself.

For an agent in the container's own network namespace. The kernel is the only memory: what is pulled
is read from it each time, so that an agent that comes after another one can put it back.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from .kernel import OrderError
from .rules import NOWHERE, VARIANTS, Rules

CABLES = {"INPUT": "LAB-CABLE-IN", "OUTPUT": "LAB-CABLE-OUT"}
PULLED = re.compile(r"-A LAB-CABLE-IN -m comment --comment (\S+) -j DROP")


def pulled_rules(whys: Iterable[str], spared: Sequence[str], *, silent: bool) -> list[str]:
    """Rules in whose names (`whys`) the cable is pulled; `spared` addresses are still heard.

    `silent`: what goes out is lost without a word; where the kernel cannot do that, the sender's
    own calls fail with EPERM.
    """
    rules = [f":{chain} - [0:0]" for chain in CABLES.values()]
    for hook, device, side, target in (
        ("INPUT", "-i", "-s", "DROP"),
        ("OUTPUT", "-o", "-d", NOWHERE if silent else "DROP"),
    ):
        chain = CABLES[hook]
        rules.append(f"-A {chain} {device} lo -j RETURN")
        rules += [f"-A {chain} {side} {address}/32 -j RETURN" for address in spared]
        rules += [f"-A {chain} -m comment --comment {why} -j {target}" for why in sorted(whys)]
    return rules


class Cable(Rules):
    """Pulls it, and puts it back."""

    def __init__(self) -> None:
        super().__init__()
        self._silent = True

    async def tend(self) -> None:
        """Be ready: find out what this kernel understands."""
        troubles = []
        for self._variant in VARIANTS:
            try:
                await self._restore([])
            except OrderError as error:
                troubles.append(str(error))
            else:
                try:
                    await self._restore([":LAB-TRY - [0:0]", f"-A LAB-TRY -j {NOWHERE}"])
                except OrderError:
                    self._silent = False
                else:
                    await self._restore(["-F LAB-TRY", "-X LAB-TRY"])
                return
        self._variant = None
        raise OrderError("; ".join(troubles))

    async def pulled(self) -> list[str]:
        """In whose names it is pulled, as the kernel has it."""
        return sorted(set(PULLED.findall(await self._saved())))

    async def pull(self, why: str, spared: Sequence[str]) -> None:
        """Drop every packet from now on, in that name; those of `spared` addresses pass."""
        async with self._changing:
            before = await self.pulled()
            if why not in before:
                rules = pulled_rules([*before, why], spared, silent=self._silent)
                if not before:
                    rules += [f"-I {hook} 1 -j {chain}" for hook, chain in CABLES.items()]
                await self._restore(rules)

    async def put_back(self, why: str, spared: Sequence[str]) -> None:
        """Drop nothing in that name; nothing of ours stays when it was the last one."""
        async with self._changing:
            before = await self.pulled()
            if why not in before:
                return
            if rest := [other for other in before if other != why]:
                await self._restore(pulled_rules(rest, spared, silent=self._silent))
            else:
                away = [f"-D {hook} -j {chain}" for hook, chain in CABLES.items()]
                empty = [f"{do} {chain}" for chain in CABLES.values() for do in ("-F", "-X")]
                await self._restore([*away, *empty])
