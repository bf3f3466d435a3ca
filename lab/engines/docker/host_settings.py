"""What a build must know of the host's network: extra certificate roots, proxies, package indexes.

Containers start with none of these, so behind a proxy that inspects TLS, or where only a mirror of
PyPI is reachable, a build fails although the host itself can install everything.
"""

from __future__ import annotations

import configparser
import hashlib
import os
import re
import ssl
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import certifi

_CERTIFICATE = re.compile(
    r"-----BEGIN CERTIFICATE-----\s+(.+?)\s+-----END CERTIFICATE-----", re.DOTALL
)
_BUNDLE_VARIABLES = (
    "LAB_CA_BUNDLE",
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "PIP_CERT",
)
_SYSTEM_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu, Alpine, Arch
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora, RHEL
    "/etc/ssl/cert.pem",  # macOS
)
# Where Debian keeps the public roots of its own package: not extra, even if certifi dropped them.
_VENDOR_ROOTS = Path("/usr/share/ca-certificates")

_PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "ALL_PROXY", "NO_PROXY")
_INDEX_VARIABLES = (
    "PIP_INDEX_URL",
    "PIP_EXTRA_INDEX_URL",
    "PIP_TRUSTED_HOST",
    "GOPROXY",
    "GOSUMDB",
    "GONOSUMDB",
)
# One-line and deb822 sources. The words after the URL tell Debian's own from a vendor's that ends
# in `/debian` as well (Docker's, for one, whose component is `stable`).
_DEBIAN_SOURCE = {
    name: re.compile(
        rf"^(?:deb\s+(?:\[[^]]*\]\s+)?(?=\S+\s+\S+\s+(?:.*\s)?main\b)|URIs:\s*)"
        rf"(https?://[^\s@]+/{name}/?)(?=\s|$)",
        re.MULTILINE,
    )
    for name in ("debian", "debian-security")
}
_PIP_CONFIGS = ("/etc/pip.conf", "~/.pip/pip.conf", "~/.config/pip/pip.conf")


def extra_roots(environ: Mapping[str, str] = os.environ) -> dict[str, bytes]:
    """Certificates that the host trusts and the public does not: file name -> PEM.

    `LAB_CA_BUNDLE` or another variable of `_BUNDLE_VARIABLES` names the host's bundle, otherwise
    it is the system's. Public roots are those of certifi and of the system's own package.
    """
    bundle = _host_bundle(environ)
    return dict(_beyond_public(bundle)) if bundle else {}


def proxy_args(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Proxy settings as build arguments; Docker predefines these for every Dockerfile."""
    names = [name for pair in ((n, n.lower()) for n in _PROXY_VARIABLES) for name in pair]
    return {name: environ[name] for name in names if environ.get(name)}


def index_args(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Package-index settings as build arguments, for a Dockerfile that declares them by `ARG`.

    Local paths and indexes on loopback are left out: they mean nothing inside a build.
    """
    files = _pip_settings(environ)
    found = {name: environ.get(name) or files.get(name, "") for name in _INDEX_VARIABLES}
    return {name: value for name, value in found.items() if value and _reachable(value)}


def debian_mirrors(environ: Mapping[str, str] = os.environ) -> tuple[str, str | None]:
    """URLs of Debian's packages and of its security updates (None: the mirror has none).

    They are those of the host's own apt; LAB_DEBIAN_MIRROR names another, and a host that is not
    Debian gets the public ones.
    """
    if named := environ.get("LAB_DEBIAN_MIRROR"):
        return named.rstrip("/"), None
    text = "\n".join(_apt_sources())
    mirror, security = (_DEBIAN_SOURCE[name].search(text) for name in ("debian", "debian-security"))
    if mirror is None:
        return "http://deb.debian.org/debian", "http://deb.debian.org/debian-security"
    return mirror[1].rstrip("/"), security[1].rstrip("/") if security else None


def _apt_sources() -> Iterator[str]:
    """Every source line of the host's apt, comments left out."""
    apt = Path("/etc/apt")
    for file in (apt / "sources.list", *sorted((apt / "sources.list.d").glob("*"))):
        if file.is_file():
            for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
                if not line.lstrip().startswith("#"):
                    yield line


def _host_bundle(environ: Mapping[str, str]) -> Path | None:
    default = ssl.get_default_verify_paths().cafile
    named = [environ.get(name) for name in _BUNDLE_VARIABLES]
    for candidate in (*named, *_SYSTEM_BUNDLES, default):
        if candidate and Path(candidate).is_file():
            return Path(candidate)
    return None


@cache
def _beyond_public(bundle: Path) -> Mapping[str, bytes]:
    public = set(_certificates(Path(certifi.where())))
    for vendored in _VENDOR_ROOTS.rglob("*.crt"):
        public.update(_certificates(vendored))
    return {
        f"host-{hashlib.sha256(body.encode()).hexdigest()[:12]}.crt": _pem(body)
        for body in _certificates(bundle)
        if body not in public
    }


def _certificates(bundle: Path) -> Iterator[str]:
    """The base64 body of every certificate of a PEM file, as one line."""
    text = bundle.read_text(encoding="utf-8", errors="replace")
    for match in _CERTIFICATE.finditer(text):
        yield "".join(match[1].split())


def _pem(body: str) -> bytes:
    lines = "\n".join(body[at : at + 64] for at in range(0, len(body), 64))
    return f"-----BEGIN CERTIFICATE-----\n{lines}\n-----END CERTIFICATE-----\n".encode()


def _pip_settings(environ: Mapping[str, str]) -> dict[str, str]:
    """`index-url` and its kin of pip's configuration files, under pip's variable names."""
    files = [environ.get("PIP_CONFIG_FILE"), *_PIP_CONFIGS]
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read([Path(file).expanduser() for file in files if file], encoding="utf-8")
    except configparser.Error:
        return {}
    found: dict[str, str] = {}
    for section in ("global", "install"):
        if parser.has_section(section):
            for key, value in parser.items(section):
                found["PIP_" + key.upper().replace("-", "_")] = " ".join(value.split())
    return found


def _reachable(value: str) -> bool:
    return not re.match(r"(/|\.|~|file:|https?://(localhost|127\.|\[::1\]))", value)
