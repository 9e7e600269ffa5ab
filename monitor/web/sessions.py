"""Logins of a browser: a sealed cookie that stands for a token, without the token."""

import hmac
import json
import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from monitor.domain.target import KeyUndecryptable, SealedKey
from monitor.keyring import Keyring

COOKIE = "llm_monitor"
CSRF_HEADER = "x-csrf-token"
LASTS = timedelta(hours=12)
SKEW = timedelta(minutes=1)
LONGEST_COOKIE = 1_000
MOST_ENDED = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One login.

    Attributes:
        token_id: the token it stands for.
        csrf: what the page's own scripts know and another page's do not.
        began_at: UTC.
    """

    token_id: int
    csrf: str = field(repr=False)
    began_at: datetime

    def fits(self, header: str) -> bool:
        """Whether a request shows the CSRF value."""
        return hmac.compare_digest(self.csrf.encode(), header.encode("utf-8", "replace"))


class Sessions:
    """Begins and reads logins. They live in their cookies; ended ones are remembered until they expire.

    A restart forgets which were ended: revoke the token to end all its logins for good.
    """

    def __init__(self, keyring: Keyring, now: Callable[[], datetime]) -> None:
        """None has been ended.

        Args:
            keyring: seals cookies, and nothing else.
            now: UTC.
        """
        self._keyring = keyring
        self._now = now
        self._ended: OrderedDict[str, datetime] = OrderedDict()

    def begin(self, token_id: int) -> tuple[str, Session]:
        """A new login, and its cookie."""
        session = Session(token_id=token_id, csrf=secrets.token_urlsafe(24), began_at=self._now())
        content = {"token": token_id, "csrf": session.csrf, "began": session.began_at.timestamp()}
        return self._keyring.seal(json.dumps(content)).text, session

    def read(self, cookie: str) -> Session | None:
        """The login of a cookie; None when we did not make it, it has expired, or it was ended."""
        if len(cookie) > LONGEST_COOKIE:
            return None
        try:
            content = json.loads(self._keyring.unseal(SealedKey(cookie)))
            session = Session(
                token_id=int(content["token"]),
                csrf=str(content["csrf"]),
                began_at=datetime.fromtimestamp(content["began"], UTC),
            )
        except (KeyUndecryptable, ValueError, TypeError, KeyError):
            return None
        age = self._now() - session.began_at
        if not -SKEW <= age < LASTS or session.csrf in self._ended:
            return None
        return session

    def end(self, session: Session) -> None:
        """Log out: whoever kept the cookie has nothing left."""
        now = self._now()
        while self._ended and next(iter(self._ended.values())) < now - LASTS:
            self._ended.popitem(last=False)
        self._ended[session.csrf] = now
        if len(self._ended) > MOST_ENDED:
            self._ended.popitem(last=False)
