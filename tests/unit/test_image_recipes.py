"""Build recipes and host settings: what is sent to the daemon, without a daemon."""

from __future__ import annotations

import tarfile
from pathlib import Path

import certifi
import docker
import pytest

from lab.engines.docker import host_settings
from lab.engines.docker.bootstrap import ImageError, bootstrap
from lab.engines.docker.build import ROOTS_FOLDER, Recipe
from lab.engines.docker.host_settings import debian_mirrors, extra_roots, index_args, proxy_args

DOCKERFILE = """\
ARG BASE=chaos-lab/base
ARG TAG
FROM --platform=$BUILDPLATFORM ${BASE} AS first
ARG PIP_INDEX_URL
FROM golang:${TAG:-1.24} AS second
FROM first
from scratch
COPY --from=first / /
"""


def recipe(folder: Path, text: str = DOCKERFILE, **args: str) -> Recipe:
    """The recipe of `folder` with `text` as its Dockerfile."""
    (folder / "Dockerfile").write_text(text)
    return Recipe.read(folder, "Dockerfile", args, "some name")


def test_bases_are_images_not_stages(tmp_path: Path) -> None:
    """Defaults, arguments and `:-` are honoured; stages and scratch are no images."""
    assert recipe(tmp_path).bases() == {"chaos-lab/base", "golang:1.24"}
    changed = recipe(tmp_path, BASE="debian:12", TAG="1.25").bases()
    assert changed == {"debian:12", "golang:1.25"}


def test_only_from_lines_are_rewritten(tmp_path: Path) -> None:
    """Each base gives way to the local image, everything else stays to the letter."""
    text = recipe(tmp_path).on({"chaos-lab/base": "here:1", "golang:1.24": "here:2"})
    expected = DOCKERFILE.replace("${BASE}", "here:1").replace("golang:${TAG:-1.24}", "here:2")
    assert text == expected


def test_archive_has_the_rewritten_dockerfile_and_plain_modes(tmp_path: Path) -> None:
    """The daemon gets no trace of the checkout's umask, owners and times."""
    (tmp_path / "tool").write_text("#!/bin/sh\n")
    (tmp_path / "tool").chmod(0o700)
    (tmp_path / "link").symlink_to("tool")
    bases = {"chaos-lab/base": "here:1", "golang:1.24": "here:2"}
    with (
        recipe(tmp_path).archive(bases) as archive,
        tarfile.open(fileobj=archive) as tar,
    ):
        tool, link = tar.getmember("tool"), tar.getmember("link")
        assert (tool.mode, tool.uid, tool.mtime, link.linkname) == (0o755, 0, 0, "tool")
        sent = tar.extractfile("Dockerfile")
        assert sent is not None
        assert b"FROM here:2 AS second" in sent.read()


def test_tag_follows_content_alone(tmp_path: Path) -> None:
    """File, base and argument count; umask does not; the name is made fit for a tag."""
    bases = {"chaos-lab/base": "sha256:1", "golang:1.24": "sha256:2"}
    (tmp_path / "file").write_text("one")
    tags = [recipe(tmp_path).tag(bases)]
    (tmp_path / "file").chmod(0o600)
    assert recipe(tmp_path).tag(bases) == tags[0]
    assert tags[0].startswith("chaos-lab/some-name:")
    tags.append(recipe(tmp_path).tag({**bases, "golang:1.24": "sha256:3"}))
    tags.append(recipe(tmp_path, X="1").tag(bases))
    (tmp_path / "file").write_text("two")
    tags.append(recipe(tmp_path).tag(bases))
    assert len(set(tags)) == 4


def test_index_settings_go_only_where_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Dockerfile that declares PIP_INDEX_URL gets it, another only the predefined proxies."""
    monkeypatch.setenv("PIP_INDEX_URL", "https://mirror.test/simple")
    monkeypatch.setenv("https_proxy", "http://proxy.test:3128")
    asking = recipe(tmp_path, X="1").build_args()
    assert asking["PIP_INDEX_URL"] == "https://mirror.test/simple"
    assert asking["https_proxy"] == "http://proxy.test:3128"
    assert asking["X"] == "1"
    other = recipe(tmp_path, "FROM debian\n").build_args()
    assert "PIP_INDEX_URL" not in other
    assert other["https_proxy"] == "http://proxy.test:3128"


def test_missing_dockerfile_is_said(tmp_path: Path) -> None:
    """The message names the folder and the remedy the Compose key."""
    with pytest.raises(ImageError, match="no Dockerfile in ") as caught:
        Recipe.read(tmp_path, "Dockerfile", {}, "x")
    assert "`build:`" in str(caught.value.remedy)


def test_settings_that_mean_nothing_in_a_build_stay_out(tmp_path: Path) -> None:
    """Local paths and loopback indexes are dropped; pip's file fills what the environment lacks."""
    config = tmp_path / "pip.conf"
    config.write_text("[global]\nindex-url = https://mirror.test/simple\n")
    found = index_args({"PIP_CONFIG_FILE": str(config), "GOPROXY": "file:///cache"})
    assert found["PIP_INDEX_URL"] == "https://mirror.test/simple"
    assert "GOPROXY" not in found
    assert index_args({"GOPROXY": "http://127.0.0.1:3000"}).get("GOPROXY") is None
    assert proxy_args({"HTTP_PROXY": "http://p.test", "NO_PROXY": ""}) == {
        "HTTP_PROXY": "http://p.test"
    }


def test_extra_roots_are_those_the_public_lacks(tmp_path: Path) -> None:
    """A private root in a bundle of public ones is the only one handed on, whole."""
    body = "QUJD" * 40
    private = f"-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n"
    bundle = tmp_path / "bundle.pem"
    bundle.write_text(Path(certifi.where()).read_text() + private)
    roots = extra_roots({"LAB_CA_BUNDLE": str(bundle)})
    assert len(roots) == 1
    (name, pem) = next(iter(roots.items()))
    assert name.endswith(".crt")
    assert "".join(pem.decode().split("-----")[2].split()) == body


def test_roots_reach_only_a_context_that_has_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder `host-ca-roots` in a context is where the host's own roots go."""
    bundle = tmp_path / "bundle.pem"
    bundle.write_text("-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----\n")
    monkeypatch.setenv("LAB_CA_BUNDLE", str(bundle))
    context = tmp_path / "context"
    context.mkdir()
    assert set(recipe(context).files) == {"Dockerfile"}
    (context / ROOTS_FOLDER).mkdir()
    (context / ROOTS_FOLDER / "README").write_text("x")
    added = set(recipe(context).files) - {"Dockerfile", f"{ROOTS_FOLDER}/README"}
    assert len(added) == 1


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (
            ["deb https://mirror.test/debian/ trixie main contrib"],
            ("https://mirror.test/debian", None),
        ),
        (
            ["Types: deb", "URIs: http://m.test/debian", "URIs: http://m.test/debian-security"],
            ("http://m.test/debian", "http://m.test/debian-security"),
        ),
        (
            ["deb [arch=amd64] https://download.test/linux/debian bookworm stable"],
            ("http://deb.debian.org/debian", "http://deb.debian.org/debian-security"),
        ),
        (
            ["deb http://archive.test/ubuntu noble main"],
            ("http://deb.debian.org/debian", "http://deb.debian.org/debian-security"),
        ),
    ],
)
def test_mirror_is_the_one_of_the_hosts_apt(
    lines: list[str], expected: tuple[str, str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Debian's own sources count, a vendor's repository that ends in /debian does not."""
    monkeypatch.setattr(host_settings, "_apt_sources", lambda: iter(lines))
    assert debian_mirrors({}) == expected
    assert debian_mirrors({"LAB_DEBIAN_MIRROR": "http://x.test/debian/"}) == (
        "http://x.test/debian",
        None,
    )


def test_machine_without_mmdebstrap_is_told_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing can make the base image, the remedy is a command."""
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ImageError) as caught:
        bootstrap(docker.DockerClient(version="1.41"), print)  # a version: it asks nobody
    assert "apt-get install -y mmdebstrap" in str(caught.value.remedy)
