"""A bounded pool of sessions: a thread uses one alone, so that no call waits for another one's.

When the token forgets its sessions, all of them are dropped with every handle that was seen through them, and the
next call connects anew.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

import pkcs11
from keyclave.errors import BackendUnavailable, KeyclaveError
from keyclave.plugin import KeyReference
from pkcs11.exceptions import PKCS11Error, SessionClosed

from keyclave_pkcs11_hsm.connection import Connection
from keyclave_pkcs11_hsm.errors import is_lost, is_stale, translate

__all__ = ["Session", "SessionPool"]

T = TypeVar("T")
_KEYS = 10_000  # that a session remembers
_WAIT_SECONDS = 4.0  # less than the core allows a call, so that the reason is told and not only that it took too long


class Seen(dict[KeyReference, Any]):
    """What was seen through a session, by key; it forgets all before it grows without end."""

    def keep(self, key: KeyReference, seen: T) -> T:
        """Remember what was seen, and return it."""
        if len(self) >= _KEYS:
            self.clear()
        self[key] = seen
        return seen


class Session:
    """One session, used by one thread at a time.

    Attributes:
        connection: the login that it belongs to.
        raw: python-pkcs11's session.
        signers: how keys sign through it.
        ciphers: the secret keys that were seen through it.
    """

    __slots__ = ("ciphers", "connection", "raw", "signers")

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.raw: pkcs11.Session = connection.open_session()
        self.signers = Seen()
        self.ciphers = Seen()

    def close(self) -> None:
        """Close it, whatever the token says to that."""
        with suppress(PKCS11Error):
            self.raw.close()


class SessionPool:
    """The sessions of one backend."""

    def __init__(self, connect: Callable[[], Connection], limit: int) -> None:
        self._connect = connect
        self._limit = limit
        self._process = os.getpid()
        self._free: deque[Session] = deque()
        self._changed = threading.Condition()
        self._count = self._waiting = 0
        self._connection: Connection | None = None
        self._closed = False

    @property
    def is_open(self) -> bool:
        """Whether it is not closed, and this is no forked child of the process that opened it."""
        return not self._closed and os.getpid() == self._process

    def take(self) -> Session:
        """Return a session that nobody else uses; `give` or `drop` must follow.

        Raises:
            BackendUnavailable: all sessions are in use, the pool is closed, or this is a forked child.
            KeyclaveError: the token cannot be connected to.
        """
        if os.getpid() != self._process:
            raise _forked()
        try:
            return self._free.pop()
        except IndexError:
            return self._open_or_wait()

    def give(self, session: Session) -> bool:
        """Take a session back, in which no operation is active.

        Returns:
            Whether the token was there all the time. If not, a handle used in the meantime may have been that of
            another object, since a token may give numbers again.
        """
        if session.connection is not self._connection:
            self.drop(session)
            return False
        self._free.append(session)
        if self._waiting:
            with self._changed:
                self._changed.notify()
        return True

    def drop(self, session: Session) -> None:
        """Close a session that must not be used again."""
        session.close()
        with self._changed:
            self._count -= 1
            self._changed.notify()

    def lose(self, connection: Connection) -> None:
        """Forget a login and every session of it that is not in use; those in use are dropped when they return."""
        with self._changed:
            if self._connection is connection:
                self._connection = None
                self._close_free()
                connection.close()

    def run(self, work: Callable[[Session], T]) -> T:
        """Return what ``work`` returns, called with a session.

        It is called once more, with another session, if the first one or an object seen through it was gone: it must
        look again for what it works on, and change nothing twice.

        Raises:
            KeyclaveError: what it raised, or what the token answered.
        """
        for last in (False, True):
            try:
                return self._attempt(work)
            except PKCS11Error as error:
                failure, gone = translate(error), is_lost(error) or is_stale(error)
            if last or not gone:
                break
        raise failure

    def close(self) -> bool:
        """Close all sessions that are not in use, and return whether that was all."""
        with self._changed:
            self._closed = True
            self._close_free()
            if self._connection is not None:
                self._connection.close()
                self._connection = None
            self._changed.notify_all()
            return self._count == 0

    def _attempt(self, work: Callable[[Session], T]) -> T:
        session = self.take()
        try:
            result = work(session)
        except PKCS11Error as error:
            self.failed(session, error)
            raise
        except KeyclaveError:
            self.give(session)
            raise
        except BaseException:
            self.drop(session)
            raise
        if not self.give(session):
            raise SessionClosed
        return result

    def failed(self, session: Session, error: PKCS11Error) -> None:
        """Drop a session in which a call failed: it could still be active there; and all, if the token is lost."""
        if is_lost(error):
            self.lose(session.connection)
        self.drop(session)

    def _close_free(self) -> None:
        while self._free:
            self._free.pop().close()
            self._count -= 1

    def _open_or_wait(self) -> Session:
        with self._changed:
            self._waiting += 1
            try:
                self._changed.wait_for(lambda: self._free or self._count < self._limit or self._closed, _WAIT_SECONDS)
            finally:
                self._waiting -= 1
            if self._closed:
                raise BackendUnavailable("the backend is closed", retryable=False)
            if self._free:
                return self._free.pop()
            if self._count >= self._limit:
                raise BackendUnavailable(
                    f"all {self._limit} sessions are in use", next_step="Allow more with the setting sessions."
                )
            return self._open()

    def _open(self) -> Session:
        """Open a session, on a new connection if there is none, or if the one there is was lost unseen."""
        try:
            session = Session(self._connection) if self._connection is not None else None
        except PKCS11Error as error:
            if not is_lost(error):
                raise
            self._close_free()
            session = None
        if session is None:
            self._connection = None
            self._connection = self._connect()
            session = Session(self._connection)
        self._count += 1
        return session


def _forked() -> BackendUnavailable:
    return BackendUnavailable(
        "this process was forked from the one that opened the backend, and has no session of its own",
        retryable=False,
        next_step="Open Keyclave in the child process, or start it by spawn.",
    )
