"""`hfgateway doctor`: looks at everything that a gateway needs before it starts, and says what to do about it.

It changes nothing, starts nothing, leaves nothing behind, and asks Higgsfield for the status of a request that does not
exist: that costs nothing, and its refusal tells whether the address and the credentials are right.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import ssl
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import click

from gateway.cli.output import echo, echo_lines

if TYPE_CHECKING:
    import httpx

    from gateway.config import Address, Settings
    from gateway.higgsfield.credentials import Credentials

OK, WARNING, PROBLEM = "ok", "warning", "problem"
PATIENCE = 10.0
CLOCK_OFF = 60.0
LITTLE_ROOM, NO_ROOM = 1 << 30, 64 << 20
"""Bytes free on the store's disk, below which it is worth a word, and below which it will not be long."""
RENEW_WITHIN = 14 * 86_400.0


@dataclass(frozen=True)
class Finding:
    """What was found out about one thing; `advice` is what to do, empty where nothing is."""

    about: str
    status: str
    found: str
    advice: str = ""


@click.command()
@click.option(
    "--config", type=click.Path(path_type=Path, dir_okay=False), help="A TOML file; the environment goes before it."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
def doctor(config: Path | None, as_json: bool) -> int:
    """Check settings, credentials, store, Higgsfield, clock, TLS and addresses. Changes nothing and costs nothing.

    The exit code is 0 when a gateway can run (warnings allowed), 1 otherwise.
    """
    findings = examine(config)
    healthy = all(finding.status != PROBLEM for finding in findings)
    if as_json:
        echo_lines(json.dumps({"healthy": healthy, "findings": [asdict(finding) for finding in findings]}, indent=2))
    else:
        for finding in findings:
            advice = f": {finding.advice}" if finding.advice else ""
            echo(f"{finding.status:8} {finding.about:12} {finding.found}{advice}")
    return 0 if healthy else 1


def examine(config: Path | None) -> list[Finding]:
    """Everything there is to say. Without readable settings there is nothing else to look at."""
    from gateway.config import SettingError, read_settings
    from gateway.higgsfield.credentials import CredentialsError, read_credentials

    findings, settings, credentials = [], None, None
    try:
        settings = read_settings(os.environ, config)
    except SettingError as error:
        findings.append(Finding("settings", PROBLEM, str(error), "correct it; nothing that needs settings was checked"))
    else:
        findings += [Finding("settings", WARNING, text, "correct or unset it") for text in settings.warnings]
        findings.append(Finding("settings", OK, "can be read"))
    try:
        credentials = read_credentials(os.environ)
    except CredentialsError as error:
        findings.append(Finding("credentials", PROBLEM, str(error), "see them at Higgsfield, under API keys"))
    else:
        findings.append(Finding("credentials", OK, f"are there, for account {credentials.account}"))
    if settings is not None:
        findings += _store(settings.store_path)
        findings += asyncio.run(_archive(settings))
        if credentials is not None:
            findings += asyncio.run(_upstream(settings, credentials))
        findings += _tls(settings)
        findings += asyncio.run(_addresses(settings))
    return findings


# -- The store ---------------------------------------------------------------------------------------------------------


def _store(path: Path) -> Iterator[Finding]:
    """The file as the next start will find it; one that a gateway holds is left alone."""
    from gateway.store.files import StoreFileError, examine, in_use

    yield _folder(path.parent)
    if in_use(path):
        yield Finding("store", OK, f"{path} is in use by a running gateway, and was not touched")
    elif not path.exists():
        yield Finding("store", OK, f"{path} will be made by the first start")
    else:
        try:
            schema, doubt = examine(path, thoroughly=True)
        except StoreFileError as error:
            advice = "see docs/operations.md, or set HFGATEWAY_STORE_URL to another file"
            yield Finding("store", PROBLEM, str(error), advice)
        else:
            yield Finding("store", OK, f"{path} is whole, schema {schema}")
            if doubt is not None:
                yield Finding("store", PROBLEM, f"{path} {doubt.text}", doubt.advice)
            if not os.access(path, os.W_OK):
                yield Finding("store", PROBLEM, f"{path} is read-only", "let the gateway's user write it")
    if path.exists() and path.stat().st_mode & 0o077:
        advice = f"run: chmod 600 {path} (the next start does)"
        yield Finding("store", WARNING, f"other users can access {path}", advice)


def _folder(folder: Path) -> Finding:
    """Whether a file can be made there, and how much room there is for it to grow."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            free = shutil.disk_usage(folder).free
    except OSError as error:
        return Finding(
            "disk", PROBLEM, f"cannot create a file in {folder} ({error.strerror})", "make the folder, writable"
        )
    room = f"{free / (1 << 30):.1f} GiB free in {folder}"
    if free >= LITTLE_ROOM:
        return Finding("disk", OK, room)
    return Finding("disk", WARNING if free >= NO_ROOM else PROBLEM, room, "make room: without it nothing is accepted")


async def _archive(settings: Settings) -> list[Finding]:
    """Whether outputs can be copied: a small file is written there, read, and removed."""
    from gateway.archive.ports import ArchiveError
    from gateway.object_storage.from_url import object_storage

    url = settings.archive_url
    if url is None:
        return []
    try:
        async with asyncio.timeout(PATIENCE):
            await object_storage(url, settings.archive_public_url, os.environ).probe()
    except ArchiveError as error:
        advice = "check HFGATEWAY_ARCHIVE_URL, its permissions, and for S3 the AWS_ variables"
        return [Finding("archive", PROBLEM, f"{url} cannot be used: {error}", advice)]
    except TimeoutError:
        return [Finding("archive", PROBLEM, f"{url} does not answer", "check AWS_ENDPOINT_URL and the firewall")]
    return [Finding("archive", OK, f"{url} can be written and read")]


# -- Higgsfield and the clock ------------------------------------------------------------------------------------------


async def _upstream(settings: Settings, credentials: Credentials) -> list[Finding]:
    """Ask for the status of a request that nobody made, by the same transport as the gateway's."""
    import httpx

    from gateway.higgsfield.transport import AioTransport

    url = settings.upstream_url
    headers = {"authorization": credentials.header, "accept": "application/json", "accept-encoding": "identity"}
    try:
        async with httpx.AsyncClient(
            transport=AioTransport(), timeout=PATIENCE, headers=headers, follow_redirects=False
        ) as client:
            answer = await client.get(f"{url}/requests/{uuid4()}/status")
    except httpx.TransportError as error:
        advice = "check HFGATEWAY_UPSTREAM_URL, the name service and the firewall"
        return [Finding("higgsfield", PROBLEM, f"{url} cannot be reached ({type(error).__name__})", advice)]
    return [_judged(url, answer), *_clock(answer.headers.get("date", ""))]


def _judged(url: str, answer: httpx.Response) -> Finding:
    status = answer.status_code
    if status == 404 and _is_json(answer):
        return Finding("higgsfield", OK, f"{url} answers and takes the credentials")
    if status == 401:
        return Finding("higgsfield", PROBLEM, f"{url} refuses the credentials", "set HF_KEY to those of the account")
    if status >= 500 or status == 429:
        return Finding("higgsfield", WARNING, f"{url} answers HTTP {status}", "try again later")
    advice = "is HFGATEWAY_UPSTREAM_URL the address of the API?"
    return Finding("higgsfield", PROBLEM, f"{url} answers HTTP {status}, not as the API does", advice)


def _is_json(answer: httpx.Response) -> bool:
    try:
        return isinstance(answer.json(), dict)
    except ValueError:
        return False


def _clock(date: str) -> list[Finding]:
    """The local clock beside Higgsfield's; times that are shown, and the age of webhooks, depend on it."""
    try:
        off = time.time() - parsedate_to_datetime(date).timestamp()
    except ValueError:
        return [Finding("clock", OK, "could not be compared: the answer had no date")]
    if abs(off) <= CLOCK_OFF:
        return [Finding("clock", OK, "agrees with Higgsfield's")]
    direction = "ahead of" if off > 0 else "behind"
    return [Finding("clock", WARNING, f"is {abs(off):.0f} s {direction} Higgsfield's", "have it set by NTP")]


# -- TLS ---------------------------------------------------------------------------------------------------------------


def _tls(settings: Settings) -> list[Finding]:
    """That the files can be loaded was checked with the settings; here is for how long they will do."""
    if settings.tls_cert is None or settings.tls_key is None:
        return []
    try:
        left = _valid_until(settings.tls_cert, settings.tls_key) - time.time()
    except ssl.SSLCertVerificationError as error:
        return [Finding("tls", PROBLEM, f"no client takes the certificate: {error.verify_message}", "renew it")]
    days = f"the certificate is valid for {left / 86_400:.0f} days"
    if left < RENEW_WITHIN:
        return [Finding("tls", WARNING, days, "renew it")]
    return [Finding("tls", OK, days)]


def _valid_until(cert: Path, key: Path) -> float:
    """When the certificate expires, seen by a client that trusts just this one: a handshake in memory."""
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.load_cert_chain(cert, key)
    client_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client_context.check_hostname = False
    client_context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    client_context.load_verify_locations(cert)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    client = client_context.wrap_bio(to_client, to_server)
    for side in (client, server, client):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    seen = client.getpeercert()
    assert seen is not None
    return ssl.cert_time_to_seconds(str(seen["notAfter"]))


# -- Addresses ---------------------------------------------------------------------------------------------------------


async def _addresses(settings: Settings) -> Sequence[Finding]:
    """Whether a gateway could listen there, or already does."""
    from gateway.config import SettingError
    from gateway.serving import check_free

    findings = []
    for name, address, answers in (
        ("GRPC_ADDRESS", settings.grpc_address, _answers_grpc),
        ("HTTP_ADDRESS", settings.http_address, _answers_http),
    ):
        about = "grpc" if name.startswith("GRPC") else "http"
        try:
            check_free(name, address)
        except SettingError as error:
            if await answers(address, settings):
                findings.append(Finding(about, OK, f"{address} is served by a running gateway"))
            else:
                findings.append(Finding(about, PROBLEM, str(error), "end the other program, or choose another address"))
        else:
            findings.append(Finding(about, OK, f"{address} is free"))
    return findings


async def _answers_grpc(address: Address, settings: Settings) -> bool:
    """Whether a gateway's health service answers; behind TLS, whether its certificate is shown."""
    if settings.tls_cert is not None:
        return await asyncio.to_thread(_shows_certificate, address, settings.tls_cert)
    import grpc
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    from gateway.serving import SERVICE

    async with grpc.aio.insecure_channel(str(address)) as channel:
        try:
            request = health_pb2.HealthCheckRequest(service=SERVICE.full_name)
            await health_pb2_grpc.HealthStub(channel).Check(request, timeout=PATIENCE)
        except grpc.aio.AioRpcError:
            return False
    return True


async def _answers_http(address: Address, settings: Settings) -> bool:
    """Whether a gateway's health page answers; behind TLS, whether its certificate is shown."""
    if settings.tls_cert is not None:
        return await asyncio.to_thread(_shows_certificate, address, settings.tls_cert)
    import httpx

    try:
        async with httpx.AsyncClient(timeout=PATIENCE, trust_env=False) as client:
            metrics = await client.get(f"http://{address}/metrics")
    except httpx.TransportError:
        return False
    return "hfgateway_" in metrics.text


def _shows_certificate(address: Address, cert: Path) -> bool:
    try:
        shown = ssl.get_server_certificate((address.host, address.port), timeout=PATIENCE)
    except OSError:
        return False
    return ssl.PEM_cert_to_DER_cert(shown) in _certificates(cert)


def _certificates(file: Path) -> list[bytes]:
    """Those of a PEM file."""
    end = "-----END CERTIFICATE-----"
    begin = end.replace("END", "BEGIN")
    parts = (part.partition(begin) for part in file.read_text().split(end))
    return [ssl.PEM_cert_to_DER_cert(f"{begin}{content}{end}") for _, found, content in parts if found]
