"""A failpoint: a share of the requests fails with 500, drawn from a seed.

POST /_lab/fail?share=0.2&seed=1   arm
GET /_lab/fail                     {"share": 0.2, "failed": 17}
DELETE /_lab/fail                  disarm
"""

from __future__ import annotations

import random

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response


class Failpoint:
    """Decides which requests fail; the same seed picks the same ones."""

    def __init__(self) -> None:
        self.share = 0.0
        self.failed = 0
        self._random = random.Random()

    def arm(self, share: float, seed: int) -> None:
        """From now on a `share` (0..1) of the requests fails.

        Raises:
            ValueError: the share is not in 0..1.
        """
        if not 0 <= share <= 1:
            raise ValueError(f"share={share} is not between 0 and 1")
        self.share, self.failed = share, 0
        self._random = random.Random(seed)

    def strikes(self) -> bool:
        """Whether this request fails; asked once per request."""
        struck = self.share > 0 and self._random.random() < self.share
        self.failed += struck
        return struck

    async def endpoint(self, request: Request) -> Response:
        """The HTTP side of it."""
        try:
            if request.method == "POST":
                query = request.query_params
                self.arm(float(query["share"]), int(query.get("seed", "1")))
            elif request.method == "DELETE":
                self.arm(0.0, seed=0)
        except (KeyError, ValueError) as error:
            return PlainTextResponse(f"write ?share=0.2&seed=1 ({error})\n", status_code=400)
        return JSONResponse({"share": self.share, "failed": self.failed})
