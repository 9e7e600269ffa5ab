"""A browser's form, read whole before anybody acts on it, and of a bounded size."""

from urllib.parse import parse_qsl

from fastapi import HTTPException
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import Receive

CSRF_FIELD = "csrf"
FORM = "application/x-www-form-urlencoded"
LARGEST_FORM = 16 * 1024
MOST_FIELDS = 50


async def read_form(headers: Headers, receive: Receive) -> dict[str, str]:
    """The fields of a form; of one that is there twice the first.

    Raises:
        HTTPException: 400 for what is no form, 413 for one that is too large.
    """
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != FORM:
        raise HTTPException(400, f"a form is wanted here ({FORM})")
    body = await _read(receive)
    try:
        fields = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS, errors="strict")
    except ValueError:
        raise HTTPException(400, "the form can't be read") from None
    return dict(reversed(fields))


async def _read(receive: Receive) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body += message.get("body", b"")
        if len(body) > LARGEST_FORM:
            raise HTTPException(413, f"a form has {LARGEST_FORM} bytes at most")
        if not message.get("more_body"):
            return bytes(body)
