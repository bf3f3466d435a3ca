"""Whether image registries answer, and pulling from one that does."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import docker
from docker.auth import resolve_repository_name
from docker.errors import APIError, DockerException
from docker.utils import parse_repository_tag

from lab.engines.docker.bootstrap import ImageError
from lab.engines.docker.build import decoded_error

# An answer takes one or two seconds (token, then manifest) even on a slow line.
_ANSWER_LIMIT_S = 6.0
_SAY_EVERY_S = 2.0
_REFUSALS = (401, 403, 404)  # the registry answers; it does not have or give this image


class Registries:
    """Asks each registry at most once per process; threads may share it."""

    def __init__(self, client: docker.DockerClient, say: Callable[[str], None]) -> None:
        self._client = client
        self._say = say
        self._silent: dict[str, str | None] = {}  # registry -> why it is out of reach
        self._lock = threading.Lock()

    def why_not(self, ref: str) -> str | None:
        """Why `ref` cannot be pulled because its registry does not answer, or None."""
        registry, _ = resolve_repository_name(ref)
        with self._lock:
            if registry not in self._silent:
                reason = self._ask(ref)
                self._silent[registry] = reason and f"registry {registry} does not answer: {reason}"
                if reason:
                    self._say(f"{self._silent[registry]}; building what it would have given")
            return self._silent[registry]

    def pull(self, ref: str) -> None:
        """Pull `ref`, telling of progress.

        Raises:
            ImageError: the registry has no such image or gives up half way.
        """
        repository, tag = parse_repository_tag(ref)
        sizes: dict[str, tuple[int, int]] = {}
        said, trouble = time.monotonic(), ""
        self._say(f"pulling {ref}")
        try:
            for event in self._client.api.pull(repository, tag=tag, stream=True, decode=True):
                trouble = str(event.get("error") or trouble)  # read on: that frees the connection
                detail = event.get("progressDetail") or {}
                if event.get("status") == "Downloading" and detail.get("total"):
                    sizes[event["id"]] = (detail.get("current", 0), detail["total"])
                if sizes and time.monotonic() - said > _SAY_EVERY_S:
                    done, total = (
                        sum(column) >> 20 for column in zip(*sizes.values(), strict=True)
                    )
                    self._say(f"pulling {ref}: {done} of {total} MiB")
                    said = time.monotonic()
        except (DockerException, OSError) as error:
            raise ImageError(f"pulling {ref} failed: {decoded_error(error)}") from error
        if trouble:
            raise ImageError(f"pulling {ref} failed: {trouble}")

    def _ask(self, ref: str) -> str | None:
        """Let the daemon look `ref` up: it, not this process, is who would pull."""
        answer: list[str | None] = []

        def ask() -> None:
            try:
                self._client.api.inspect_distribution(ref)  # type: ignore[no-untyped-call]
                answer.append(None)
            except APIError as error:
                refused = error.status_code in _REFUSALS
                answer.append(None if refused else decoded_error(error).rpartition(": ")[2])
            except (DockerException, OSError) as error:
                answer.append(str(error))

        # A thread because the daemon gives no deadline to set, and DNS alone may take 30 s.
        asking = threading.Thread(target=ask, daemon=True)
        asking.start()
        asking.join(_ANSWER_LIMIT_S)
        return answer[0] if answer else f"no reply within {_ANSWER_LIMIT_S:.0f} s"
