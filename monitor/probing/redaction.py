"""Takes keys and control characters out of other people's text before it is kept."""

import base64
import re
from urllib.parse import quote, quote_plus

DETAIL_LIMIT = 300
MASK = "****"
FRAGMENT = 8  # as many leading characters of a key as some providers echo

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]+")
_SHAPES = re.compile(
    r"(?i)\b(?:bearer|basic)\s+[a-z0-9._~+/=-]{6,}"
    r"|\b(?:sk|pk|rk|gsk|xai|fw|r8|hf|tgp|pplx|csk|nvapi|sess)[-_][a-z0-9*._-]{4,}"
    r"|\bAIza[a-z0-9_*-]{6,}"
    r"|\bAQ\.[a-z0-9_*.-]{6,}"
    r"|\beyJ[a-z0-9_-]{8,}\.[a-z0-9_.-]+"
    r"|\bgAAAA[a-z0-9_=-]{8,}"
    r"|\b[0-9a-f]{32,}\b"
    r"|((?:api[-_ ]?key|access[-_ ]?token|secret|password)[\"']?\s*[:=]\s*[\"']?)[^\s\"'&,;]{4,}"
    r"|(?<=://)[^/\s@]+(?=@)"
)


def redact(text: str, key: str | None = None, limit: int = DETAIL_LIMIT) -> str:
    """Text for a person: one line, no key in any spelling, at most `limit` characters.

    Args:
        text: anything, an error body of a provider for example.
        key: the key that was used, masked wherever it stands whole, encoded or begun.
        limit: the longest answer.
    """
    if not text:
        return ""
    clean = text[: limit * 40]
    if key:
        for spelling in _spellings(key):
            clean = re.sub(re.escape(spelling), MASK, clean, flags=re.IGNORECASE)
        if len(key) >= FRAGMENT:
            clean = re.sub(re.escape(key[:FRAGMENT]) + r"[^\s\"',;)}\]]*", MASK, clean, flags=re.IGNORECASE)
            clean = re.sub(r"[^\s\"',;({\[]*" + re.escape(key[-FRAGMENT:]), MASK, clean, flags=re.IGNORECASE)
    clean = _CONTROL.sub(" ", clean)
    clean = _SHAPES.sub(lambda match: f"{match.group(1) or ''}{MASK}", clean)
    clean = " ".join(clean.split())
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"


def _spellings(key: str) -> list[str]:
    """The key as it may be echoed, longest first, so that no remainder of a longer one stays."""
    raw = key.encode()
    spellings = {key, quote(key, safe=""), quote_plus(key), key.encode("unicode_escape").decode()}
    for head in (b"", b":", b"user:", b"Bearer "):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            spellings.add(encode(head + raw).decode().rstrip("="))
    spellings.add(raw.hex())
    return sorted((one for one in spellings if len(one) >= 4), key=len, reverse=True)
