"""Images for a topology: those here already, else pulled, else built; each made once.

ensure("postgres:17")   here? -> built before? -> pull -> build topologies/images/postgres
build(context)          a Compose `build:` section, cached by content
"""

from __future__ import annotations

import difflib
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import docker
from docker.errors import APIError, DockerException, ImageNotFound
from ruamel.yaml import YAML
from urllib3.exceptions import HTTPError

from lab.engines.docker.bootstrap import DEBIAN, ImageError, bootstrap, bootstrapped_tag
from lab.engines.docker.build import Recipe, decoded_error, run_build
from lab.engines.docker.registry import Registries

CATALOGUE = "images.yaml"
_OURS = "chaos-lab/"
_FREE_MIB = 1024  # least free disk to start a build with; the largest step needs about half of it


@dataclass(frozen=True, slots=True)
class _Image:
    ref: str  # a reference that `FROM` understands
    id: str


class Images:
    """Finds or makes images; one object may serve many threads.

    Args:
        client: connection to the daemon.
        say: receives one line of progress at a time, from any thread.
        catalogue_dir: folder with `images.yaml` and one folder per image.
    """

    def __init__(
        self,
        client: docker.DockerClient,
        say: Callable[[str], None],
        catalogue_dir: Path,
    ) -> None:
        self._client = client
        self._say = say
        self._catalogue = _read_catalogue(catalogue_dir)
        self._registries = Registries(client, say)
        self._locks: dict[str, threading.Lock] = {}

    def ensure(self, ref: str) -> str:
        """Id of an image that is ready to run as `ref`.

        What was built once stays in use until its recipe changes or `ref` itself is pulled by hand.

        Raises:
            ImageError: neither here nor in a registry nor in the catalogue, or it does not build.
        """
        with _explained(ref):
            return self._find(ref).id

    def build(
        self,
        context: Path,
        dockerfile: str = "Dockerfile",
        args: Mapping[str, str] | None = None,
        name: str = "",
    ) -> str:
        """Id of the image of a Compose `build:` section, built anew only if something changed.

        Raises:
            ImageError: no Dockerfile, a base that cannot be had, or a step that fails.
        """
        recipe = Recipe.read(context, dockerfile, args or {}, name or context.resolve().name)
        with _explained(recipe.name):
            return self._build(recipe).id

    def _find(self, ref: str) -> _Image:
        with self._lock(ref):
            return self._here(ref) or self._pulled(ref) or self._made(ref)

    def _here(self, ref: str) -> _Image | None:
        """The image if no work is needed: `ref` itself, or what was built in its place before."""
        if not ref.startswith(_OURS) and (image := self._local(ref)):
            return image
        if ref == DEBIAN:
            return self._local(bootstrapped_tag())
        if ref not in self._catalogue:
            return None
        recipe = self._recipe(ref)
        bases = {base: self._here(base) for base in recipe.bases()}
        ids = {base: image.id for base, image in bases.items() if image}
        return self._local(recipe.tag(ids)) if len(ids) == len(bases) else None

    def _pulled(self, ref: str) -> _Image | None:
        """The image from its registry, or None if the lab can make it instead."""
        if ref.startswith(_OURS):
            return None
        can_make = ref == DEBIAN or ref in self._catalogue
        trouble = self._registries.why_not(ref)
        if trouble is None:
            try:
                self._registries.pull(ref)
                return self._local(ref)
            except ImageError as error:
                trouble = error.message
                if can_make:
                    self._say(f"{trouble}; building it instead")
        if can_make:
            return None
        raise ImageError(f"{ref}: {trouble}; and no recipe can replace it", remedy=self._hint(ref))

    def _made(self, ref: str) -> _Image:
        if ref == DEBIAN:
            self._check_disk()
            return self._certain(bootstrap(self._client, self._say))
        if ref not in self._catalogue:
            raise ImageError(f"{ref} is not one of the lab's images", remedy=self._hint(ref))
        return self._build(self._recipe(ref))

    def _build(self, recipe: Recipe) -> _Image:
        bases = {base: self._find(base) for base in recipe.bases()}
        tag = recipe.tag({base: image.id for base, image in bases.items()})
        with self._lock(tag):
            if image := self._local(tag):
                return image
            self._check_disk()
            refs = {base: image.ref for base, image in bases.items()}
            try:
                run_build(self._client, recipe, refs, tag, self._say)
            except APIError as error:
                raise ImageError(
                    f"building {recipe.name} failed: {decoded_error(error)}",
                    remedy=f"correct {recipe.context / recipe.dockerfile}",
                ) from error
            return self._certain(tag)

    def _lock(self, key: str) -> threading.Lock:
        return self._locks.setdefault(key, threading.Lock())  # atomic, unlike a defaultdict

    def _recipe(self, ref: str) -> Recipe:
        folder = self._catalogue[ref]
        return Recipe.read(folder, "Dockerfile", {}, folder.name)

    def _local(self, ref: str) -> _Image | None:
        try:
            return _Image(ref, self._client.api.inspect_image(ref)["Id"])  # type: ignore[no-untyped-call]
        except ImageNotFound:
            return None

    def _certain(self, tag: str) -> _Image:
        image = self._local(tag)
        if image is None:
            raise ImageError(f"{tag} was made but is gone", remedy="try again: was it pruned?")
        return image

    def _check_disk(self) -> None:
        """Fail before a build fails half way, where the daemon's disk can be seen from here."""
        root = Path(self._client.info().get("DockerRootDir", ""))
        if not root.is_dir():
            return
        free_mib = shutil.disk_usage(root).free >> 20
        if free_mib < _FREE_MIB:
            raise ImageError(
                f"only {free_mib} MiB free under {root}, a build needs {_FREE_MIB}",
                remedy="free disk space, for example `docker system prune`",
            )

    def _hint(self, ref: str) -> str:
        near = difflib.get_close_matches(ref, self._catalogue, n=1, cutoff=0.5)
        known = near or sorted(self._catalogue)
        return f"use {', '.join(known)}, or bring the image here: `docker pull {ref}`"


@contextmanager
def _explained(what: str) -> Iterator[None]:
    """A daemon that fails or goes away in the middle is the machine's fault, not a bug."""
    try:
        yield
    except (DockerException, OSError, HTTPError) as error:
        raise ImageError(
            f"Docker failed while the image {what} was made ready: {decoded_error(error)}",
            remedy="see whether the daemon is well: `docker info`",
        ) from error


def _read_catalogue(folder: Path) -> dict[str, Path]:
    path = folder / CATALOGUE
    if not path.is_file():
        raise ImageError(f"{path} is missing", remedy=f"restore it: `git checkout {path}`")
    entries = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    return {str(ref): folder / str(name) for ref, name in entries.items()}
