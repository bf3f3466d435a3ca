"""A TLS handshake as a careful client makes it. Standard library only.

The Docker engine's network agent carries this one file along, so it knows nothing of the rest.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ssl

# openssl/x509_vfy.h, X509_V_ERR_*: what `verify_code` says.
_CODES = {
    2: "unknown authority",  # unable to get issuer certificate
    10: "expired",
    18: "unknown authority",  # self-signed leaf
    19: "unknown authority",  # self-signed root that is not known
    20: "unknown authority",  # unable to get local issuer certificate
    21: "unknown authority",  # unable to verify leaf signature
    62: "wrong name",
    64: "wrong name",  # an address that is not in it
}


async def handshake(
    address: str, port: int, name: str, authority: str, timeout_s: float
) -> dict[str, str]:
    """How it went (`Outcome` of `lab.engines`), and what was served, as base64 of its DER form.

    `authority` is the only one trusted, in PEM. What is served is looked at in a second handshake,
    which takes anything: OpenSSL does not hand out what it refuses.
    """
    try:
        async with asyncio.timeout(timeout_s):
            outcome = await _verify(address, port, name, authority)
            served = b"" if outcome in ("no TLS", "no answer") else await _served(address, port)
    except OSError:  # a timeout is one
        return {"outcome": "no answer", "served": ""}
    return {"outcome": outcome, "served": base64.b64encode(served).decode()}


async def _verify(address: str, port: int, name: str, authority: str) -> str:
    context = ssl.create_default_context(cadata=authority)
    try:
        await _open(address, port, context, name)
    except ssl.SSLCertVerificationError as error:
        return _CODES.get(error.verify_code, "not trusted")
    except ssl.SSLEOFError:
        return "no answer"
    except ssl.SSLError:
        return "no TLS"
    except OSError:  # refused or reset
        return "no answer"
    return "verifies"


async def _served(address: str, port: int) -> bytes:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return await _open(address, port, context, "")


async def _open(address: str, port: int, context: ssl.SSLContext, name: str) -> bytes:
    """Connect, shake hands, hang up; the certificate of the other side."""
    _, writer = await asyncio.open_connection(address, port, ssl=context, server_hostname=name)
    try:
        found = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    finally:
        writer.close()
        with contextlib.suppress(OSError, asyncio.TimeoutError):
            await writer.wait_closed()
    return bytes(found or b"")
