"""Reads one service of a Compose file into a `Service`, its paths made absolute."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any, get_args

from lab.loading.document import KeyPath
from lab.loading.find import is_there
from lab.loading.hints import did_you_mean
from lab.loading.reader import Reader
from lab.topology import Build, Condition, File, Healthcheck, Service
from lab.units import parse_duration

_BYTES = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?", re.IGNORECASE)
_SCALE = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}
_RESTART = re.compile(r"no|always|unless-stopped|on-failure(:\d+)?")
_TRUTH = {"true": True, "false": False}


class ServiceReader:
    """One service under `services:`; everything wrong with it is noted."""

    def __init__(self, reader: Reader, name: str, folder: Path) -> None:
        self._reader = reader
        self._document = reader.document
        self._path: KeyPath = ("services", name)
        self._name = name
        self._folder = folder

    def read(self) -> Service:
        """The service as far as it can be read; not for use when anything was noted."""
        files, volumes, tmpfs = self._volumes()
        if not self._has("image") and not self._has("build"):
            message = f"service `{self._name}` has neither `image` nor `build`"
            self._reader.wrong(self._path, message, "add one, like image: postgres:17", key=True)
        return Service(
            name=self._name,
            image=self._text("image"),
            build=self._build(),
            command=self._words("command"),
            entrypoint=self._words("entrypoint"),
            environment=self._pairs("environment"),
            healthcheck=self._healthcheck(),
            depends_on=self._depends_on(),
            files=tuple(files),
            tmpfs=(*self._list("tmpfs"), *tmpfs),
            volumes=tuple(volumes),
            sized=self._sized(volumes),
            cpus=self._limit("cpus", ("deploy", "resources", "limits", "cpus"), self._number),
            memory_bytes=self._limit(
                "mem_limit", ("deploy", "resources", "limits", "memory"), self._size
            ),
            replicas=self._count("deploy", "replicas", default=1, least=1),
            user=self._text("user"),
            working_dir=self._text("working_dir"),
            stop_signal=self._text("stop_signal"),
            restart=self._restart(),
            init=self._truth("init"),
            sysctls=self._pairs("sysctls"),
            ulimits=self._ulimits(),
        )

    def _at(self, *keys: str | int) -> Any:
        return self._document.at((*self._path, *keys))

    def _has(self, *keys: str | int) -> bool:
        return self._document.has((*self._path, *keys))

    def _wrong(self, keys: tuple[str | int, ...], message: str, hint: str = "") -> None:
        self._reader.wrong((*self._path, *keys), message, hint)

    def _text(self, *keys: str) -> str | None:
        value = self._at(*keys)
        return value if isinstance(value, str) else None

    def _list(self, *keys: str) -> tuple[str, ...]:
        """A text or a list of texts."""
        value = self._at(*keys)
        if isinstance(value, str):
            return (value,)
        return tuple(str(item) for item in value) if isinstance(value, list) else ()

    def _words(self, key: str) -> tuple[str, ...] | None:
        """A command: a list as it is, a text split like a shell would, as Compose does."""
        value = self._at(key)
        if not isinstance(value, str):
            return tuple(map(str, value)) if isinstance(value, list) else None
        try:
            return tuple(shlex.split(value))
        except ValueError as error:
            self._wrong(
                (key,), f"not a command: {str(error).lower()}", "or write a list: [one, two]"
            )
            return None

    def _pairs(self, *keys: str) -> dict[str, str]:
        """A mapping, or a list of `NAME=value`."""
        value, pairs = self._at(*keys), {}
        if isinstance(value, dict):
            for name, text in value.items():
                if text is None and keys != ("sysctls",):
                    self._no_value((*keys, name), name)
                pairs[name] = str(text)
        for index, item in enumerate(value if isinstance(value, list) else ()):
            name, equals, text = str(item).partition("=")
            if not equals:
                self._no_value((*keys, index), name)
            pairs[name] = text
        return pairs

    def _no_value(self, keys: tuple[str | int, ...], name: str) -> None:
        message = f"`{name}` has no value, and the lab takes none from your shell"
        self._reader.wrong((*self._path, *keys), message, f'write {name}: "value"', key=True)

    def _build(self) -> Build | None:
        value = self._at("build")
        if not isinstance(value, str | dict):
            return None
        short = isinstance(value, str)
        where = ("build",) if short or not self._has("build", "context") else ("build", "context")
        text = value if isinstance(value, str) else str(value.get("context", "."))
        context = self._beside(text)
        dockerfile = "Dockerfile" if short else str(self._at("build", "dockerfile") or "Dockerfile")
        if not is_there(context, folder=True):
            self._wrong(where, f"there is no folder {text} beside the Compose file")
        elif not is_there(context / dockerfile):
            keys = ("build", "dockerfile") if self._has("build", "dockerfile") else where
            self._wrong(keys, f"there is no file {dockerfile} in {text}")
        return Build(context, dockerfile, {} if short else self._pairs("build", "args"))

    def _healthcheck(self) -> Healthcheck | None:
        if not isinstance(self._at("healthcheck"), dict) or self._truth("healthcheck", "disable"):
            return None
        test = self._at("healthcheck", "test")
        if isinstance(test, str):
            words: tuple[str, ...] = ("CMD-SHELL", test)
        else:
            words = tuple(map(str, test)) if isinstance(test, list) else ()
        if words == ("NONE",):
            return None
        if not words:
            self._reader.wrong((*self._path, "healthcheck"), "the healthcheck has no `test`",
                               "add test: [CMD, …]", key=True)  # fmt: skip
        elif words[0] not in ("CMD", "CMD-SHELL") or len(words) < 2:
            self._wrong(("healthcheck", "test"), "a test starts with CMD or CMD-SHELL",
                        "write test: [CMD, pg_isready]")  # fmt: skip
        default = Healthcheck(words)
        return Healthcheck(
            words,
            self._seconds("interval", default.interval_s),
            self._seconds("timeout", default.timeout_s),
            self._count("healthcheck", "retries", default=default.retries, least=1),
            self._seconds("start_period", default.start_period_s),
        )

    def _seconds(self, key: str, default_s: float) -> float:
        if self._at("healthcheck", key) is None:
            return default_s
        try:
            return parse_duration(self._at("healthcheck", key))
        except ValueError as error:
            self._reader.unfit((*self._path, "healthcheck", key), error)
            return default_s

    def _depends_on(self) -> dict[str, Condition]:
        value = self._at("depends_on")
        if isinstance(value, list):
            return {name: "service_started" for name in value if isinstance(name, str)}
        conditions: dict[str, Condition] = {}
        for name, entry in value.items() if isinstance(value, dict) else ():
            settings = entry if isinstance(entry, dict) else {}
            self._only(("depends_on", name), settings, ("condition",))
            condition = settings.get("condition", "service_started")
            if condition in get_args(Condition):
                conditions[name] = condition
        return conditions

    def _only(
        self, keys: tuple[str | int, ...], entry: dict[str, Any], honoured: tuple[str, ...]
    ) -> None:
        """Note every other key of an entry."""
        for key in entry:
            if key not in honoured and not key.startswith("x-"):
                message = f"the lab does not honour `{key}` of Compose"
                self._reader.wrong((*self._path, *keys, key), message, "delete it", key=True)

    def _volumes(self) -> tuple[list[File], list[str], list[str]]:
        """Files of the author, named volumes as `name:/target`, and tmpfs targets."""
        files: list[File] = []
        volumes: list[str] = []
        tmpfs: list[str] = []
        for index, item in enumerate(self._at("volumes") or ()):
            keys = ("volumes", index)
            entry = (
                self._long(keys, item) if isinstance(item, dict) else self._short(keys, str(item))
            )
            if entry is None:
                continue
            kind, source, target = entry
            if not target.startswith("/"):
                self._wrong(keys, f"`{target}` is not a place in the container", "start it with /")
            if kind == "tmpfs":
                size = self._size((*keys, "tmpfs", "size")) if self._sizes(keys) else None
                tmpfs.append(target if size is None else f"{target}:size={size}")
            elif kind == "volume":
                self._named(keys, source)
                volumes.append(f"{source}:{target}")
            elif (file := self._file(keys, source)) is not None:
                files.append(File(file, target))
        return files, volumes, tmpfs

    def _short(self, keys: tuple[str | int, ...], text: str) -> tuple[str, str, str] | None:
        source, _, rest = text.partition(":")
        target, _, mode = rest.partition(":")
        if not target:
            self._wrong(keys, f"`{text}` is a volume without a name", f"write data:{text}")
            return None
        if mode not in ("", "ro"):
            self._wrong(
                keys, f"the lab does not honour `{mode}` of Compose", "write :ro, or nothing"
            )
            return None
        is_path = source.startswith((".", "/", "~"))
        return ("bind" if is_path else "volume"), source, target

    def _long(
        self, keys: tuple[str | int, ...], entry: dict[str, Any]
    ) -> tuple[str, str, str] | None:
        kind = str(entry.get("type"))
        if kind not in ("bind", "volume", "tmpfs"):
            self._wrong(keys, f"the lab does not honour volumes of type `{kind}`",
                        "there are: bind, volume, tmpfs")  # fmt: skip
            return None
        also = ("tmpfs",) if kind == "tmpfs" else ()
        self._only(keys, entry, ("type", "source", "target", "read_only", *also))
        if not entry.get("target") or (kind != "tmpfs" and not entry.get("source")):
            self._wrong(keys, "a volume needs `source` and `target`")
            return None
        return kind, str(entry.get("source", "")), str(entry["target"])

    def _sizes(self, keys: tuple[str | int, ...]) -> bool:
        """Whether a tmpfs has a size; what else it has is noted."""
        options = self._at(*keys, "tmpfs")
        self._only((*keys, "tmpfs"), options if isinstance(options, dict) else {}, ("size",))
        return self._has(*keys, "tmpfs", "size")

    def _sized(self, volumes: list[str]) -> dict[str, str]:
        """The mount options of those volumes that are in memory, by name."""
        options = {
            name: self._document.at(("volumes", name, "driver_opts", "o"))
            for name in (text.partition(":")[0] for text in volumes)
        }
        return {name: text for name, text in options.items() if isinstance(text, str)}

    def _file(self, keys: tuple[str | int, ...], source: str) -> Path | None:
        """A file beside the Compose file; a path of this machine would not be on another."""
        if not source.startswith("."):
            self._wrong(keys, f"`{source}` is a path of this machine alone",
                        "put the file beside the Compose file: ./file:/target:ro")  # fmt: skip
            return None
        file = self._beside(source)
        if not is_there(file):
            self._wrong(keys, f"there is no file {source} beside the Compose file")
        return file

    def _beside(self, text: str) -> Path:
        """A path of the Compose file, absolute and without links; as it is when it cannot exist."""
        path = self._folder / text
        return path.resolve() if is_there(path) else path

    def _named(self, keys: tuple[str | int, ...], name: str) -> None:
        declared = self._document.at(("volumes",))
        names = list(declared) if isinstance(declared, dict) else []
        if name not in names:
            message = f"volume `{name}` is not declared"
            hint = did_you_mean(name, names) or f"add at the top: volumes: {{{name}: {{}}}}"
            self._wrong(keys, message, hint)

    def _limit(self, short: str, long: tuple[str, ...], read: Any) -> Any:
        """`cpus` and `mem_limit` are also written under `deploy`; one of the two is enough."""
        values = [read(keys) for keys in ((short,), long) if self._has(*keys)]
        if len(values) == 2 and values[0] != values[1]:
            self._wrong(
                (short,), f"`{short}` and deploy.resources.limits differ", "write one of them"
            )
        return values[0] if values else None

    def _number(self, keys: tuple[str, ...]) -> float | None:
        text = str(self._at(*keys))
        try:
            number = float(text)
        except ValueError:
            number = 0.0
        if not 0 < number < 10_000:
            self._wrong(
                keys, f"`{text}` is not a number of cores", "write a number above 0, like 0.5"
            )
            return None
        return number

    def _size(self, keys: tuple[str | int, ...]) -> int | None:
        text = str(self._at(*keys))
        match = _BYTES.fullmatch(text.strip())
        if not match:
            self._wrong(keys, f"`{text}` is not a size", "write a number and a unit, like 256m")
            return None
        return int(float(match[1]) * _SCALE[match[2].lower()])

    def _count(self, *keys: str, default: int, least: int) -> int:
        value = self._at(*keys)
        if value is None:
            return default
        if not str(value).isdecimal() or int(value) < least:
            self._wrong(keys, f"`{value}` is not a whole number of at least {least}")
            return default
        return int(value)

    def _truth(self, *keys: str) -> bool:
        value = self._at(*keys)
        if value is not None and str(value).lower() not in _TRUTH:
            self._wrong(keys, f"`{value}` is neither true nor false")
        return _TRUTH.get(str(value).lower(), False)

    def _restart(self) -> str:
        value = str(self._at("restart") or "no")
        if not _RESTART.fullmatch(value):
            hint = did_you_mean(value, ["no", "always", "on-failure", "unless-stopped"])
            self._wrong(("restart",), f"`{value}` is not a restart policy", hint)
        return value

    def _ulimits(self) -> dict[str, tuple[int, int]]:
        value, limits = self._at("ulimits"), {}
        for name in value if isinstance(value, dict) else ():
            if isinstance(value[name], dict):
                soft = self._count("ulimits", name, "soft", default=0, least=0)
                limits[name] = (soft, self._count("ulimits", name, "hard", default=soft, least=0))
            else:
                both = self._count("ulimits", name, default=0, least=0)
                limits[name] = (both, both)
        return limits
