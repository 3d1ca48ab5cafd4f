"""What an error of PostgreSQL or of its connection says: about a statement, and about a server that cannot be used."""

import re
from enum import Enum

import psycopg

from gateway.store.store import StoreOpenError

IDLE_SESSION_TIMEOUT = "57P05"
"""The SQLSTATE of a connection that the server has ended because it was idle, before it received the statement."""

READ_ONLY = "25006"
"""The SQLSTATE of a write on a connection to a standby, or on one that was made while read-only was the default."""


class Outcome(Enum):
    """Whether a statement was stored that raised an error."""

    NOT_STORED = 1
    AGAIN = 2
    """Not stored; a repeat may succeed."""
    UNKNOWN = 3
    """The connection ended after the statement was sent."""


class ServerError(StoreOpenError):
    """The server or its database cannot be used. The message is one line for the operator, without the password."""


class ConnectionLostError(ServerError):
    """The connection was lost while the store was opened. Another attempt may succeed."""


def outcome(error: psycopg.Error) -> Outcome:
    """Return whether the statement that raised an error was stored."""
    state = error.sqlstate
    if state in {"40001", "40P01", IDLE_SESSION_TIMEOUT}:
        return Outcome.AGAIN
    if state is None:
        # Errors of psycopg itself are raised before anything is sent. Those of libpq, of these two classes or of no
        # narrower one, say that the connection ended, or that the response cannot be read.
        lost = isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
        return Outcome.UNKNOWN if lost or type(error) is psycopg.DatabaseError else Outcome.NOT_STORED
    # FATAL, PANIC: the server ends the connection, or crashes. It may do so after the commit.
    severity = error.diag.severity_nonlocalized or error.diag.severity  # poolers may send only the second one
    unknown = state.startswith("08") or state == "40003" or severity in {"FATAL", "PANIC"}
    return Outcome.UNKNOWN if unknown else Outcome.NOT_STORED


ADVICE = (
    (
        "(password|SASL) authentication failed|no password supplied",
        "check the user and the password in HFGATEWAY_STORE_URL",
    ),
    ("no pg_hba.conf entry", "allow the gateway's user, database, address and encryption in the server's pg_hba.conf"),
    ('database "[^"]*" does not exist', "create it, for example: createdb NAME"),
    ("too many (connections|clients)|connection slots", "raise max_connections, or lower HFGATEWAY_STORE_CONNECTIONS"),
    ("max_client_conn", "raise max_client_conn of the pooler, or lower HFGATEWAY_STORE_CONNECTIONS"),
    ("unsupported startup parameter", "the pooler refuses it: set it for the role, and not in HFGATEWAY_STORE_URL"),
    ("statement pooling mode", "set pool_mode = transaction in the pooler"),
    (
        r"^(connection is bad: )?invalid \S+( \S+)? (value|number)|URI query parameter",
        "correct it in HFGATEWAY_STORE_URL, or in libpq's variables",
    ),
    ("certificate|SSL", "check sslmode and sslrootcert in HFGATEWAY_STORE_URL"),
    ("hot standby", "name the primary, or all servers with target_session_attrs=read-write"),
    ("starting up|shutting down|recovery", "wait until the server is ready"),
)
"""Texts in messages of servers, poolers and libpq, and what the operator can do.

libpq passes on no SQLSTATE of a refused connection, so a server whose messages are not in English gets no such advice.
"""


def unreachable(store: str, error: Exception) -> ServerError:
    """Return the error for a server that accepts no connection. `store` is the URL without secrets."""
    # What libpq writes itself has no severity. That of a server is in its language: FATAL, FATALE, ВАЖНО.
    answered = re.search(r" failed: \S+:  ", str(error)) is not None
    text = " ".join(str(error).split())
    # The message repeats host and port, which are in the URL.
    text = re.sub(r'.*?(connection to server at "[^"]*"( \([^)]*\))?, port \d+ failed: )+', "", text)
    text = re.sub(r" Is the server running [^?]*\?", "", text)  # libpq's advice, which is the same as ours
    text = text.removeprefix("connection failed: ")
    text = re.sub(r"^\S+: ", "", text) if answered else text
    otherwise = "the server refuses the connection" if answered else "is the server running and reachable?"
    return ServerError(f"{store}: cannot be connected to ({text.strip()}); {advice(text) or otherwise}")


def refused(store: str, error: psycopg.Error, *, lost: bool) -> ServerError:
    """Return the error for a server that refuses a statement while the store is opened.

    `lost`: it has ended the connection.
    """
    text = reason(error)
    kind = ConnectionLostError if lost else ServerError
    return kind(f"{store}: {'; '.join(filter(None, (text, advice(text))))}")


def reason(error: psycopg.Error) -> str:
    """Return the message of the server; without one, that of the library, as for a lost connection."""
    first_line, _, _ = str(error).strip().partition("\n")
    return error.diag.message_primary or f"the connection was lost ({first_line})"


def advice(text: str) -> str:
    """Return what the operator can do about a message; empty if there is no advice."""
    return next((advice for known, advice in ADVICE if re.search(known, text)), "")
