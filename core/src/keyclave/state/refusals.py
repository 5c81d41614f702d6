"""Why there is no connection to PostgreSQL, in words of our own.

Neither libpq nor psycopg gives a code for it, and what they write may repeat a value of the URL: so it is looked
through for what is known, and never shown.
"""

from __future__ import annotations

__all__ = ["reason_of"]

_REASONS = (
    ("password authentication failed", "the server refused the user or the password"),
    ("no password supplied", "the server asks for a password, and none is given"),
    ("no pg_hba.conf entry", "the server's pg_hba.conf lets this user not in from here, or not without TLS"),
    ("authentication failed", "the server refused the user"),
    ("certificate verify failed", "no authority in sslrootcert has signed the server's certificate"),
    ("does not match host name", "the server's certificate has another name than the host"),
    ("root certificate file", "the file of sslrootcert is missing, or holds no certificate"),
    ("private key file", "the file of sslkey is missing, no key, or lets group or others in"),
    ("certificate file", "the file of sslcert is missing, or holds no certificate"),
    ("does not support SSL", "the server has no TLS"),
    ("Connection refused", "nothing answers on that host and port"),
    ("failed to resolve host", "the name of the host is not known"),
    ("timeout expired", "no answer in time"),
    ("server closed the connection", "the server closed it"),
    ("starting up", "the server is starting"),
    ("shutting down", "the server is shutting down"),
    ("too many clients", "the server has no connection left"),
    ("too many connections", "the server allows no more connections to this user or database"),
    ("is not permitted to log in", "the user may not log in"),
    ("permission denied for database", "the user may not connect to the database"),
    ("not currently accepting connections", "the database accepts no connections"),
    ("remaining connection slots", "the server has no connection left"),
    ("No such file or directory", "there is no socket of a server in that directory"),
    ("invalid connection option", "an option of the URL is not one of libpq's"),
    ("invalid sslmode value", "sslmode has a value that libpq does not know"),
    ("does not exist", "the server has no such database or user"),
)
"""The first phrase that an error has is what counts: the more special ones are above."""


def reason_of(error: Exception) -> str:
    """Return why a connection could not be made, or broke; the kind of the error where that is not known."""
    text = str(error)
    return next((reason for phrase, reason in _REASONS if phrase in text), type(error).__name__)
