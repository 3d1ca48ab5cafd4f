"""`hfgateway doctor`: checks everything that a gateway needs to start, and says how to correct what is wrong.

It changes nothing and leaves nothing behind. It asks Higgsfield for the status of a request that does not exist, which
costs nothing: the kind of refusal shows whether the address and the credentials are valid.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import shutil
import ssl
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import click

from gateway.cli.output import echo, echo_lines
from gateway.cli.serve import config_option

if TYPE_CHECKING:
    from gateway.higgsfield.credentials import Credentials
    from gateway.higgsfield.errors import Response
    from gateway.settings.config import Settings
    from gateway.settings.values import Address

OK, WARNING, PROBLEM = "ok", "warning", "problem"
CHECK_TIMEOUT = 10.0
"""Seconds for each check of another server."""
MAX_CLOCK_ERROR = 60.0
"""Seconds by which the clock may differ from Higgsfield's without a warning."""
LITTLE_ROOM, NO_ROOM = 1 << 30, 64 << 20
"""Bytes free on the store's disk: less than the first is a warning, less than the second is a problem."""
RENEW_WITHIN = 14 * 86_400.0
"""A certificate that expires within this number of seconds is a warning."""
_UNTRUSTED = "its certificate is not valid here: set SSL_CERT_FILE to a PEM file with the authorities to trust"
"""The advice if a server's certificate is refused."""


@dataclass(frozen=True)
class Finding:
    """The result of one check. `status` is OK, WARNING or PROBLEM; `advice` says what to do, and may be empty."""

    about: str
    status: str
    found: str
    advice: str = ""


@click.command()
@config_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--production", is_flag=True, help="Report settings that `serve --production` refuses.")
def doctor(config: Path | None, as_json: bool, production: bool) -> int:
    """Check settings, credentials, store, archive, issuer, traces, MCP, accounts, clock, TLS and addresses. It is free.

    It writes a test file to the store's folder and to the archive, and removes it.

    The exit code is 0 if a gateway can run, even with warnings, and 1 otherwise.
    """
    findings = asyncio.run(examine(config, production=production))
    healthy = all(finding.status != PROBLEM for finding in findings)
    if as_json:
        echo_lines(json.dumps({"healthy": healthy, "findings": [asdict(finding) for finding in findings]}, indent=2))
    else:
        for finding in findings:
            advice = f": {finding.advice}" if finding.advice else ""
            echo(f"{finding.status:8} {finding.about:12} {finding.found}{advice}")
    return 0 if healthy else 1


async def examine(config: Path | None, *, production: bool) -> list[Finding]:
    """Run all checks. If the settings are invalid, the checks that need them are skipped."""
    from gateway.higgsfield.credentials import CredentialsError, read_credentials
    from gateway.process.production import unsafe
    from gateway.settings.config import SettingError, read_settings

    findings, settings, credentials = [], None, None
    try:
        settings = read_settings(os.environ, config)
    except SettingError as error:
        findings.append(
            Finding("settings", PROBLEM, str(error), "correct it; checks that need the settings were skipped")
        )
    else:
        findings += [Finding("settings", WARNING, text, "correct or unset it") for text in settings.warnings]
        findings.append(Finding("settings", OK, "valid"))
    try:
        credentials = read_credentials(os.environ)
    except CredentialsError as error:
        findings.append(Finding("credentials", PROBLEM, str(error), "find them at Higgsfield, under API keys"))
    else:
        findings.append(Finding("credentials", OK, f"set, for account {credentials.account}"))
    if settings is not None:
        findings += _store(settings.store) if isinstance(settings.store, Path) else await _database(settings)
        findings += await _archive(settings)
        findings += await _issuer(settings)
        findings += _libraries(settings)
        if production and credentials is not None:
            refused = unsafe(settings, credentials, os.environ, config)
            findings += [Finding("production", PROBLEM, text) for text in refused]
        if credentials is not None:
            findings += await _upstream(settings, credentials)
        findings += await _accounts(settings)
        findings += _tls(settings)
        findings += await _addresses(settings)
    return findings


# -- The store ---------------------------------------------------------------------------------------------------------


async def _database(settings: Settings) -> Sequence[Finding]:
    """Check a database of a server as the next start would, without changing it."""
    from gateway.settings.extras import missing

    try:
        from gateway.store.postgres.store import examine
    except ModuleNotFoundError:
        return [Finding("store", PROBLEM, missing("postgresql"))]
    from gateway.store.store import StoreOpenError

    assert not isinstance(settings.store, Path)
    try:
        state = await examine(settings.store.url, str(settings.store))
    except StoreOpenError as error:
        return [Finding("store", PROBLEM, str(error), "see docs/postgresql.md")]
    return [Finding("store", OK, f"{settings.store} {state}")]


def _store(path: Path) -> Iterator[Finding]:
    """Check the file as the next start would. The file of a running gateway is not checked."""
    from gateway.settings.config import default_store
    from gateway.store.sqlite.files import OWNER_ADVICE, StoreFileError, examine, in_use, log_size, unwritable
    from gateway.store.sqlite.mounts import NETWORK_ADVICE, network_filesystem

    folder = path.parent
    while path == default_store(os.environ) and not folder.exists():
        folder = folder.parent  # the first start creates it
    yield _folder(folder)
    if kind := network_filesystem(path):
        yield Finding("store", WARNING, f"{path} is on a network file system ({kind})", NETWORK_ADVICE)
    if in_use(path):
        yield Finding("store", OK, f"{path} is in use by a running gateway, and was not checked")
    elif not path.exists() and not log_size(path):
        yield Finding("store", OK, f"{path} will be created by the first start")
    else:
        try:
            schema, doubt = examine(path, "integrity_check")
        except StoreFileError as error:
            advice = "see docs/operations.md, or set HFGATEWAY_STORE_URL to another file"
            yield Finding("store", PROBLEM, str(error), advice)
        else:
            yield Finding("store", OK, f"{path} is intact, schema {schema}")
            if doubt is not None:
                yield Finding("store", PROBLEM, f"{path} {doubt.text}", doubt.advice)
        for file in unwritable(path):
            yield Finding("store", PROBLEM, f"this user cannot write {file}", OWNER_ADVICE)
    if path.is_file() and path.stat().st_mode & 0o077:
        advice = f"run: chmod 600 {path} (the next start does it as well)"
        yield Finding("store", WARNING, f"other users can access {path}", advice)


def _folder(folder: Path) -> Finding:
    """Check that a file can be created in a folder, and how much disk space is left."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            free = shutil.disk_usage(folder).free
    except OSError as error:
        return Finding(
            "disk", PROBLEM, f"cannot create a file in {folder} ({error.strerror})", "create the folder, writable"
        )
    room = f"{free / (1 << 30):.1f} GiB free in {folder}"
    if free >= LITTLE_ROOM:
        return Finding("disk", OK, room)
    return Finding(
        "disk", WARNING if free >= NO_ROOM else PROBLEM, room, "free some space: a full disk stops submissions"
    )


async def _archive(settings: Settings) -> list[Finding]:
    """Check that outputs can be copied: write a small file, read it and remove it."""
    from gateway.archive.ports import ArchiveError
    from gateway.object_storage.from_url import object_storage

    url = settings.archive_url
    if url is None:
        return []
    try:
        async with asyncio.timeout(CHECK_TIMEOUT):
            await object_storage(url, os.environ).probe()
    except ArchiveError as error:
        advice = "check HFGATEWAY_ARCHIVE_URL, its permissions, and for S3 the AWS_ variables"
        return [Finding("archive", PROBLEM, f"{url} cannot be used: {error}", advice)]
    except TimeoutError:
        return [Finding("archive", PROBLEM, f"{url} does not answer", "check AWS_ENDPOINT_URL and the firewall")]
    return [Finding("archive", OK, f"{url} can be written and read")]


async def _issuer(settings: Settings) -> list[Finding]:
    """Fetch the keys of the OpenID Connect issuer, as a gateway does."""
    from gateway.generations.clock import SystemClock
    from gateway.process.opening import open_issuer
    from gateway.settings.config import SettingError

    url = settings.oidc_issuer
    try:
        issuer = open_issuer(settings, SystemClock())
    except SettingError as error:
        return [Finding("issuer", PROBLEM, str(error), "see docs/settings.md")]
    if issuer is None:
        return []
    from gateway.oidc import IssuerError  # needs the extra, as the issuer does

    try:
        keys = await issuer.fetch()
    except IssuerError as error:
        advice = "check HFGATEWAY_OIDC_ISSUER and the firewall: calls with its tokens fail"
        if "Certificate" in str(error):
            advice = _UNTRUSTED
        return [Finding("issuer", PROBLEM, f"the keys of {url} cannot be fetched: {error}", advice)]
    if not keys:
        return [Finding("issuer", WARNING, f"{url} has no keys", "its tokens are refused until it has one")]
    return [Finding("issuer", OK, f"{url} sends its keys")]


def _libraries(settings: Settings) -> Iterator[Finding]:
    """Check that the libraries of traces and of MCP are installed, and accept their variables."""
    from gateway.process.opening import import_mcp, open_traces
    from gateway.settings.config import SettingError

    try:
        if (traces := open_traces(settings)) is not None:
            traces.close()
            yield Finding("traces", OK, "their settings are valid")
    except SettingError as error:
        yield Finding("traces", PROBLEM, str(error), "see docs/traces.md")
    if not settings.mcp:
        return
    try:
        import_mcp()
    except SettingError as error:
        yield Finding("mcp", PROBLEM, str(error), "see docs/mcp.md")
    else:
        yield Finding("mcp", OK, "its library is installed")


# -- Accounts ----------------------------------------------------------------------------------------------------------


async def _accounts(settings: Settings) -> list[Finding]:
    """Check that the credentials of added accounts can be decrypted, and that Higgsfield accepts them."""
    from gateway.accounts.manager import decrypted
    from gateway.higgsfield.credentials import parse_credentials
    from gateway.process.opening import open_encryption
    from gateway.settings.config import SettingError
    from gateway.store.sqlite import files
    from gateway.store.store import StoreOpenError

    store = settings.store
    try:
        encryption = open_encryption(settings)
        if not isinstance(store, Path):
            from gateway.store.postgres.store import credentials

            stored = await credentials(store.url, str(store))
        else:
            stored = files.credentials(store) if store.exists() else []
        found = [(one.account, parse_credentials(text)) for one, text in decrypted(stored, encryption) if text]
    except SettingError as error:
        return [Finding("accounts", PROBLEM, str(error), "see docs/accounts.md")]
    except (StoreOpenError, ModuleNotFoundError):
        return []  # the check of the store has reported it
    return [await _account(settings, name, credentials) for name, credentials in found]


async def _account(settings: Settings, name: str, credentials: Credentials) -> Finding:
    """Ask Higgsfield with the credentials of an added account."""
    import httpx

    with contextlib.suppress(httpx.TransportError):
        response = await _ask(settings, credentials)
        if response.status == 401:
            advice = f"run: hfgateway accounts rotate {name}"
            return Finding("accounts", PROBLEM, f"{name}: Higgsfield refuses the credentials", advice)
        if _accepts_credentials(response):
            return Finding("accounts", OK, f"{name}: Higgsfield accepts the credentials")
    return Finding("accounts", WARNING, f"{name}: Higgsfield does not answer", "try again later")


# -- Higgsfield and the clock ------------------------------------------------------------------------------------------


async def _ask(settings: Settings, credentials: Credentials) -> Response:
    """Ask for the status of a request that does not exist, as a gateway would. Raises TransportError."""
    from gateway.higgsfield.client import HiggsfieldClient

    proxy = settings.proxy_for(settings.upstream_url)
    client = HiggsfieldClient(settings.upstream_url, credentials, timeout=CHECK_TIMEOUT, proxy=proxy)
    client.logs_credentials = False  # they are a finding
    async with contextlib.aclosing(client):
        return await client.call("GET", f"/requests/{uuid4()}/status", name="status call")


async def _upstream(settings: Settings, credentials: Credentials) -> list[Finding]:
    import httpx

    url = settings.upstream_url
    proxied = settings.proxy_for(url) is not None
    if proxied:
        url += f" over the proxy {settings.proxy}"
    try:
        response = await _ask(settings, credentials)
    except httpx.TransportError as error:
        advice = f"check HFGATEWAY_UPSTREAM_URL, {'HTTPS_PROXY, NO_PROXY' if proxied else 'DNS'} and the firewall"
        if "Certificate" in str(error):
            advice = _UNTRUSTED
        return [Finding("higgsfield", PROBLEM, f"{url} cannot be reached ({error})", advice)]
    return [_judge_response(url, response), *_clock(response.date)]


def _judge_response(url: str, response: Response) -> Finding:
    status = response.status
    if _accepts_credentials(response):
        return Finding("higgsfield", OK, f"{url} answers and accepts the credentials")
    if status == 401:
        return Finding(
            "higgsfield", PROBLEM, f"{url} refuses the credentials", "set HF_KEY to the credentials of the account"
        )
    if status >= 500 or status == 429:
        return Finding("higgsfield", WARNING, f"{url} answers HTTP {status}", "try again later")
    advice = "check that HFGATEWAY_UPSTREAM_URL is the address of the API"
    return Finding("higgsfield", PROBLEM, f"{url} answers HTTP {status}, unlike the API", advice)


def _accepts_credentials(response: Response) -> bool:
    """Return whether Higgsfield has looked for the request, which it does only for valid credentials."""
    try:
        return response.status == 404 and isinstance(json.loads(response.body), dict)
    except ValueError:
        return False


def _clock(date: str) -> list[Finding]:
    """Compare the local clock with Higgsfield's. The times that are shown and the age of webhooks depend on it."""
    from gateway.headers import parse_http_date

    theirs = parse_http_date(date)
    if theirs is None:
        return [Finding("clock", OK, "not compared: the response has no date")]
    off = time.time() - theirs
    if abs(off) <= MAX_CLOCK_ERROR:
        return [Finding("clock", OK, "agrees with Higgsfield's")]
    direction = "ahead of" if off > 0 else "behind"
    return [Finding("clock", WARNING, f"is {abs(off):.0f} s {direction} Higgsfield's", "synchronize it with NTP")]


# -- TLS ---------------------------------------------------------------------------------------------------------------


def _tls(settings: Settings) -> list[Finding]:
    """Check when the certificate expires. That the files can be loaded was checked with the settings."""
    if settings.tls_cert is None or settings.tls_key is None:
        return []
    from gateway.certificates import validity

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(settings.tls_cert, settings.tls_key, password="")
    try:
        begins, expires = validity(context, settings.tls_cert)
    except ssl.SSLCertVerificationError as error:
        return [Finding("tls", PROBLEM, f"clients reject the certificate: {error.verify_message}", "use another one")]
    except ssl.SSLError as error:
        advice = "use one with an RSA key, or an ECDSA key with the curve P-256"
        return [Finding("tls", PROBLEM, f"clients cannot use the certificate ({error.reason})", advice)]
    now = time.time()
    if begins > now:
        text = f"the certificate is not valid yet: it becomes valid in {_days(begins - now)}"
        return [Finding("tls", PROBLEM, text, "check the clock of this machine, or use another certificate")]
    if expires <= now:
        return [Finding("tls", PROBLEM, f"the certificate has expired {_days(now - expires)} ago", "renew it")]
    text = f"the certificate is valid for {_days(expires - now)}"
    found = Finding("tls", WARNING, text, "renew it") if expires - now < RENEW_WITHIN else Finding("tls", OK, text)
    return [found, *_replicas(settings, context, settings.tls_cert, settings.tls_key)]


def _replicas(settings: Settings, context: ssl.SSLContext, cert: Path, key: Path) -> Iterator[Finding]:
    """Check that other replicas on a database, which verify the certificate, can forward calls to this gateway.

    With a client CA they also present it.
    """
    from gateway.certificates import client_error, validity
    from gateway.process.listening import reachable_at

    if isinstance(settings.store, Path):
        return
    own = settings.grpc_address
    host = (settings.replica_address or reachable_at(own.host, own.port)).host
    try:
        validity(context, cert, host)
    except ssl.SSLCertVerificationError as error:
        text = f"other replicas, if there are any, refuse the certificate: {error.verify_message}"
        yield Finding("tls", WARNING, text, "set HFGATEWAY_REPLICA_ADDRESS to a host that the certificate names")
    if settings.tls_client_ca and (why := client_error(cert, key, settings.tls_client_ca)):
        text = f"other replicas, if there are any, may not connect with the certificate: {why}"
        advice = "use one that an authority in HFGATEWAY_TLS_CLIENT_CA has issued, for clients too"
        yield Finding("tls", WARNING, text, advice)


def _days(seconds: float) -> str:
    days = round(seconds / 86_400)
    return "1 day" if days == 1 else f"{days} days"


# -- Addresses ---------------------------------------------------------------------------------------------------------


async def _addresses(settings: Settings) -> Sequence[Finding]:
    """Check that a gateway could listen at its addresses, or already does."""
    from gateway.cli.operator import in_use
    from gateway.process.listening import check_free
    from gateway.settings.config import SettingError

    findings = []
    is_served = {"GRPC_ADDRESS": _answers_grpc, "HTTP_ADDRESS": _answers_http}
    for name, address in settings.listen_addresses.items():
        about = name.removesuffix("_ADDRESS").lower()
        try:
            check_free(name, address)
        except SettingError as error:
            if settings.tls_cert is not None:
                served = await asyncio.to_thread(_shows_certificate, address, settings.tls_cert)
            elif name in is_served:
                served = await is_served[name](address)
            else:  # the ports for webhooks and for AdminService tell strangers nothing about the gateway
                served = in_use(settings.store)
            if served and in_use(settings.store):
                findings.append(Finding(about, OK, f"{address} is served by a running gateway"))
            elif served:
                text = f"{address} is served by a gateway with another store"
                findings.append(Finding(about, PROBLEM, text, "stop that gateway, or choose another address"))
            else:
                used = getattr(error.__cause__, "errno", None) == errno.EADDRINUSE
                advice = await _advice(address, settings) if used else "choose an address that this user can listen on"
                findings.append(Finding(about, PROBLEM, str(error), advice))
        else:
            findings.append(_free(about, address, settings))
    return findings


def _free(about: str, address: Address, settings: Settings) -> Finding:
    """Report an address at which nothing listens, although a gateway with these settings may seem to run."""
    from gateway.cli.operator import in_use

    if address.port and isinstance(settings.store, Path) and in_use(settings.store):
        text = f"{address} is free: the gateway that runs on the store has other addresses"
        return Finding(about, WARNING, text, "stop it before you start another one on this store")
    return Finding(about, OK, f"{address} is free")


async def _advice(address: Address, settings: Settings) -> str:
    """Return what to do about an address that a program uses which is no gateway with these settings."""
    from gateway.cli.connection import speaks_tls

    with contextlib.suppress(OSError):
        if settings.tls_cert is None and await asyncio.to_thread(speaks_tls, address.host, address.port, CHECK_TIMEOUT):
            return "it speaks TLS: if it is the gateway, run doctor with its settings, else choose another address"
    return "stop the other program, or choose another address"


async def _answers_grpc(address: Address) -> bool:
    """Return whether a gateway's health service answers."""
    import grpc
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    from gateway.rpc.services import GENERATION_SERVICE

    async with grpc.aio.insecure_channel(str(address), [("grpc.enable_http_proxy", 0)]) as channel:
        try:
            request = health_pb2.HealthCheckRequest(service=GENERATION_SERVICE.full_name)
            await health_pb2_grpc.HealthStub(channel).Check(request, timeout=CHECK_TIMEOUT)
        except grpc.aio.AioRpcError:
            return False
    return True


async def _answers_http(address: Address) -> bool:
    """Return whether a gateway's metrics are served."""
    import httpx

    try:
        async with httpx.AsyncClient(timeout=CHECK_TIMEOUT, trust_env=False) as client:
            metrics = await client.get(f"http://{address}/metrics")
    except httpx.RequestError:
        return False
    return "hfgateway_" in metrics.text


def _shows_certificate(address: Address, cert: Path) -> bool:
    """Return whether a server presents the gateway's certificate."""
    try:
        shown = ssl.get_server_certificate((address.host, address.port), timeout=CHECK_TIMEOUT)
    except OSError:
        return False
    return ssl.PEM_cert_to_DER_cert(shown) in _certificates(cert)


def _certificates(file: Path) -> list[bytes]:
    """Return the certificates of a PEM file, in DER."""
    end = "-----END CERTIFICATE-----"
    begin = end.replace("END", "BEGIN")
    parts = (part.partition(begin) for part in file.read_text("ascii", "replace").split(end))
    return [ssl.PEM_cert_to_DER_cert(f"{begin}{content}{end}") for _, found, content in parts if found]
