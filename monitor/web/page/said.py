"""What an act came to, kept here until a page tells it: no link can make the page say anything."""

from collections import OrderedDict
from dataclasses import dataclass

from monitor.web.sessions import Session

MOST_LOGINS = 1_000
MOST_EACH = 5


@dataclass(frozen=True, slots=True)
class Line:
    """One thing to say.

    Attributes:
        text: the sentence.
        is_bad: it was not done, or showed that something is wrong.
    """

    text: str
    is_bad: bool = False


class Said:
    """What is yet to be said to each login, in bounded memory."""

    def __init__(self) -> None:
        """Nothing is."""
        self._lines: OrderedDict[str, tuple[Line, ...]] = OrderedDict()

    def say(self, session: Session, line: Line) -> None:
        """Say something on the next page that this login looks at."""
        self._lines[session.csrf] = (*self._lines.get(session.csrf, ()), line)[-MOST_EACH:]
        self._lines.move_to_end(session.csrf)
        if len(self._lines) > MOST_LOGINS:
            self._lines.popitem(last=False)

    def take(self, session: Session) -> tuple[Line, ...]:
        """What is to be said to a login now, and not again."""
        return self._lines.pop(session.csrf, ())
