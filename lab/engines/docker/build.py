"""One image build: what goes in (and its fingerprint), and a daemon build that tells how it goes.

Uses the daemon's classic builder, which every Docker Engine has, through the SDK.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import docker
from docker.utils.build import exclude_paths

from lab.engines.docker.bootstrap import LABEL, ImageError
from lab.engines.docker.host_settings import extra_roots, index_args, proxy_args

_FROM = re.compile(
    r"^(?P<head>\s*FROM\s+(?:--\S+\s+)*)(?P<ref>\S+)(?P<tail>.*)$",
    re.IGNORECASE | re.MULTILINE,
)
_STAGE = re.compile(r"\s+AS\s+(\S+)", re.IGNORECASE)
_ARG = re.compile(r"^\s*ARG\s+(\w+)(?:=(\S*))?", re.IGNORECASE | re.MULTILINE)
_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)(?::-([^}]*))?\})")
_STEP = re.compile(r"^Step (\d+/\d+) : (.*)", re.DOTALL)
_SLOW_STEPS = ("RUN", "COPY", "ADD")  # only these can take long enough to be worth a line
_SLOW_STEPS = ("RUN", "COPY", "ADD")  # only these can take long enough to be worth a line
_TAIL_LINES = 15
_REMEDIES = {
    r"no space left": "free disk space, for example `docker system prune`",
    r"certificate|x509": (
        "name the file with your network's root certificates: LAB_CA_BUNDLE=/path/to/bundle.pem"
    ),
    r"could not resolve|name resolution|failure resolving|no such host|timed out|unreachable"
    r"|unable to connect|connection refused": (
        "the build cannot reach its package index: set HTTPS_PROXY, PIP_INDEX_URL, GOPROXY or "
        "LAB_DEBIAN_MIRROR as your network needs"
    ),
}
# A folder of this name in a build context receives the roots that only the host knows.
ROOTS_FOLDER = "host-ca-roots"


@dataclass(frozen=True, slots=True)
class Recipe:
    """A build context as it goes to the daemon.

    `files` maps a path in the context to the file itself, or to bytes that the lab adds.
    """

    name: str
    context: Path
    dockerfile: str
    text: str = field(repr=False)
    files: Mapping[str, Path | bytes] = field(repr=False)
    args: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, context: Path, dockerfile: str, args: Mapping[str, str], name: str) -> Recipe:
        """Raises ImageError when the folder or its Dockerfile is missing."""
        path = context / dockerfile
        if not path.is_file():
            raise ImageError(
                f"no {dockerfile} in {context}, which is to be built as {name}",
                remedy="correct `build:` in the Compose file",
            )
        files: dict[str, Path | bytes] = {rel: context / rel for rel in _context(context, path)}
        if (context / ROOTS_FOLDER).is_dir():
            files.update({f"{ROOTS_FOLDER}/{rel}": pem for rel, pem in extra_roots().items()})
        text = path.read_text(encoding="utf-8")
        return cls(name, context, dockerfile, text, files, dict(args))

    def bases(self) -> frozenset[str]:
        """References of the images that the Dockerfile starts from."""
        return frozenset(ref for ref, _ in self._froms())

    def on(self, bases: Mapping[str, str]) -> str:
        """The Dockerfile's text with each base replaced by the local image that stands for it."""
        targets = {match.start(): bases[ref] for ref, match in self._froms()}

        def replaced(match: re.Match[str]) -> str:
            target = targets.get(match.start())
            return f"{match['head']}{target}{match['tail']}" if target else match[0]

        return _FROM.sub(replaced, self.text)

    def tag(self, base_ids: Mapping[str, str]) -> str:
        """`chaos-lab/<name>:<12 hex>` over everything that shapes the image.

        Proxies and package indexes do not count: they say where the same packages come from.
        """
        digest = hashlib.sha256()
        digest.update(
            json.dumps([self.text, dict(self.args), dict(base_ids)], sort_keys=True).encode()
        )
        for rel, entry in sorted(self.files.items()):
            digest.update(f"\0{rel}\0{_mode(entry):o}\0".encode())
            digest.update(hashlib.sha256(_content(entry)).digest())
        slug = re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-") or "image"
        return f"chaos-lab/{slug}:{digest.hexdigest()[:12]}"

    def archive(self, bases: Mapping[str, str]) -> IO[bytes]:
        """The context as a tar; owners, times and umask of the checkout leave no trace in it."""
        spool: IO[bytes] = tempfile.SpooledTemporaryFile(max_size=32 << 20)  # noqa: SIM115
        with tarfile.open(fileobj=spool, mode="w") as tar:
            sent = {**self.files, self.dockerfile: self.on(bases).encode()}
            for rel, entry in sorted(sent.items()):
                _add(tar, rel, entry)
        spool.seek(0)
        return spool

    def build_args(self) -> dict[str, str]:
        """The caller's arguments, the host's proxies, and the indexes that the Dockerfile names."""
        declared = {match[1] for match in _ARG.finditer(self.text)}
        indexes = {name: value for name, value in index_args().items() if name in declared}
        return {**proxy_args(), **indexes, **self.args}

    def _froms(self) -> Iterator[tuple[str, re.Match[str]]]:
        first = _FROM.search(self.text)
        head = self.text[: first.start()] if first else self.text
        values = {m[1]: self.args.get(m[1], m[2] or "") for m in _ARG.finditer(head)}
        stages: set[str] = set()
        for match in _FROM.finditer(self.text):
            ref = _VARIABLE.sub(lambda v: values.get(v[1] or v[2]) or v[3] or "", match["ref"])
            if ref != "scratch" and ref not in stages and not ref.isdigit():
                yield ref, match
            if stage := _STAGE.match(match["tail"]):
                stages.add(stage[1])


def run_build(
    client: docker.DockerClient,
    recipe: Recipe,
    bases: Mapping[str, str],
    tag: str,
    say: Callable[[str], None],
) -> None:
    """Build `recipe` under `tag`, telling of every step.

    Raises:
        ImageError: with the failing step and the last lines of its log.
    """
    began = time.monotonic()
    step, log, error = "", list[str](), ""
    with recipe.archive(bases) as archive:
        events = client.api.build(
            fileobj=archive,
            custom_context=True,
            dockerfile=recipe.dockerfile,
            tag=tag,
            buildargs=recipe.build_args(),
            labels={LABEL: recipe.name},
            use_config_proxy=True,
            rm=True,
            forcerm=True,
            decode=True,
        )
        for event in events:
            if found := _STEP.match(event.get("stream", "")):
                step, log = f"step {found[1]} {_short(found[2])}", []
                if found[2].startswith(_SLOW_STEPS):
                    say(f"building {recipe.name}: {step} ({time.monotonic() - began:.0f} s)")
            elif "error" in event:
                error = str(event["error"])  # the last event; reading on frees the connection
            else:
                log += str(event.get("stream", "")).splitlines()
    if error:
        raise _failure(recipe, step, log, error)
    say(f"built {recipe.name} in {time.monotonic() - began:.0f} s")


def _failure(recipe: Recipe, step: str, log: list[str], error: str) -> ImageError:
    tail = [line.rstrip() for line in log if line.strip() and not line.startswith(" ---> ")]
    shown = "\n".join(f"    {line}" for line in [*tail[-_TAIL_LINES:], error])
    return ImageError(
        f"building {recipe.name} failed in {step or 'the Dockerfile'}:\n{shown}",
        remedy=_remedy("\n".join([*tail, error]), recipe.context / recipe.dockerfile),
    )


def _remedy(log: str, dockerfile: Path) -> str:
    """What most often helps against the failure that `log` tells of."""
    for pattern, remedy in _REMEDIES.items():
        if re.search(pattern, log, re.IGNORECASE):
            return remedy
    return f"correct {dockerfile}"


def _context(context: Path, dockerfile: Path) -> list[str]:
    ignore = context / ".dockerignore"
    lines = ignore.read_text(encoding="utf-8").splitlines() if ignore.is_file() else []
    patterns = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    found = exclude_paths(str(context), patterns, dockerfile=str(dockerfile.relative_to(context)))
    return [rel for rel in found if (context / rel).is_symlink() or (context / rel).is_file()]


def _mode(entry: Path | bytes) -> int:
    if isinstance(entry, bytes):
        return 0o644
    if entry.is_symlink():
        return 0o777
    return 0o755 if entry.stat().st_mode & 0o100 else 0o644


def _content(entry: Path | bytes) -> bytes:
    if isinstance(entry, bytes):
        return entry
    return str(entry.readlink()).encode() if entry.is_symlink() else entry.read_bytes()


def _add(tar: tarfile.TarFile, rel: str, entry: Path | bytes) -> None:
    info = tarfile.TarInfo(Path(rel).as_posix())
    info.mode = _mode(entry)
    data = _content(entry)
    if isinstance(entry, Path) and entry.is_symlink():
        info.type, info.linkname = tarfile.SYMTYPE, data.decode()
        tar.addfile(info)
        return
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


def _short(command: str) -> str:
    words = " ".join(command.split())
    return words if len(words) <= 60 else words[:57] + "..."


def decoded_error(error: Exception) -> str:
    """The daemon's own words, without the SDK's repetition of URL and status."""
    explanation: Any = getattr(error, "explanation", None)
    return str(explanation or error).strip()
