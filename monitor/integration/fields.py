"""What a person or an application may write into a provider's row, field by field."""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, cast

from monitor.domain.catalog import Catalog
from monitor.domain.configuration import read_url
from monitor.domain.metadata import RowProblem, read_metadata
from monitor.domain.metadata_address import refuse_metadata_address
from monitor.domain.provider import ProviderType, Purpose
from monitor.integration.loading import metadata_addresses_allowed
from monitor.integration.plain_key import MASK
from monitor.storage.refusals import Refused

LONGEST_TEXT = 500
LONGEST_URL = 2_000
LONGEST_KEY = 8_000
LARGEST_METADATA = 65_536
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


class FieldRefused(Refused):
    """A value can't be taken; the message names the field and the mend, never the value.

    Attributes:
        field: its name.
        message: what is wrong and the mend.
    """

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field
        self.message = message


def read_fields(type_: ProviderType, given: Mapping[str, object], catalog: Catalog) -> dict[str, Any]:
    """The given fields as they will be stored; the key stays in plain text.

    Args:
        type_: whose row it is.
        given: by name; a column that nobody may write is a mistake of the caller's.
        catalog: of providers.

    Raises:
        FieldRefused: a value can't be taken.
        TypeError: there is no such field.
    """
    readers = _readers(type_, catalog)
    for field in given:
        if field not in readers:
            raise TypeError(f"unexpected field {field!r}: known are {', '.join(readers)}")
    return {field: readers[field](field, value) for field, value in given.items()}


def check_purposes(row: Mapping[str, Any], catalog: Catalog) -> None:
    """Refuse a server that is to serve what its type can't.

    Raises:
        FieldRefused: names the purpose's field.
    """
    entry = catalog.find(ProviderType.AI_SERVER, row["server_type"])
    if entry is None:
        return
    for purpose in Purpose:
        field = f"use_for_{purpose}"
        if row[field] and purpose not in entry.litellm_providers:
            serves = ", ".join(entry.litellm_providers)
            raise FieldRefused(field, f"{field}: {entry.name} serves no {purpose} (it serves {serves})")


def read_who(*named: object, field: str = "user_id") -> str:
    """Who makes a change: the first that is named, as a text; `unknown` when nobody is.

    Args:
        *named: from the one that counts most.
        field: where it was named, for the refusal.

    Raises:
        FieldRefused: it is no name.
    """
    who = next((one for one in named if one is not None and one != ""), "unknown")
    return _text(field, str(who))


def _readers(type_: ProviderType, catalog: Catalog) -> dict[str, Callable[[str, object], object]]:
    def kind(field: str, value: object) -> str:
        name = _text(field, value)
        if catalog.find(type_, name) is None:
            known = sorted(
                one.name for one in catalog.entries.values() if one.type is type_ and not one.generic
            )
            more = " or another that litellm knows" if type_ is ProviderType.API_KEY else ""
            raise FieldRefused(
                field, f"{field} is unknown: write one of {', '.join(dict.fromkeys(known))}{more}"
            )
        return name.lower()

    if type_ is ProviderType.API_KEY:
        return {
            "provider": kind,
            "key_name": _text,
            "api_key": _key,
            "enabled": _flag,
            "use_for_ops_center": _flag,
            "metadata": _metadata,
        }
    return {
        "name": _text,
        "server_type": kind,
        "base_url": _url,
        "api_key": _optional_key,
        "model_path": _optional_text,
        "enabled": _flag,
        **{f"use_for_{purpose}": _flag for purpose in Purpose},
        "metadata": _metadata,
    }


def _text(field: str, value: object, most: int = LONGEST_TEXT) -> str:
    if not isinstance(value, str) or not value.strip():
        raise FieldRefused(field, f"{field} is empty: write a text")
    text = value.strip()
    if not text.isprintable():
        raise FieldRefused(field, f"{field} has a line break or a control character in it: take it out")
    if len(text) > most:
        raise FieldRefused(field, f"{field} has more than {most} characters: shorten it")
    return text


def _optional_text(field: str, value: object) -> str | None:
    return None if value is None or value == "" else _text(field, value)


def _key(field: str, value: object) -> str:
    key = _text(field, value, LONGEST_KEY)
    if key.startswith(MASK):
        raise FieldRefused(
            field, f"{field} is a mask and not the key: write the key, or leave the field out to keep it"
        )
    if not key.isascii() or " " in key:
        raise FieldRefused(
            field, f"{field} has a character in it that no request can carry: write the key alone"
        )
    return key


def _optional_key(field: str, value: object) -> str | None:
    return None if value is None or value == "" else _key(field, value)


def _flag(field: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise FieldRefused(field, f"{field} is neither true nor false: write one of them")
    return value


def _url(field: str, value: object) -> str:
    if not isinstance(value, str) or len(value) > LONGEST_URL:
        raise FieldRefused(
            field, f"{field} is no address of at most {LONGEST_URL} characters: as in http://host:8000"
        )
    try:
        return _checked(value, field)
    except RowProblem as problem:
        raise FieldRefused(field, str(problem)) from None


def _checked(url: str, field: str) -> str:
    address = read_url(url, field)
    if not metadata_addresses_allowed():
        refuse_metadata_address(address, field)
    return address


def _metadata(field: str, value: object) -> dict[str, Any]:
    if value is None:
        return {}
    try:
        metadata = read_metadata(value)
        if metadata.base_url is not None:
            _checked(metadata.base_url, "metadata.base_url")
    except RowProblem as problem:
        raise FieldRefused(field, str(problem)) from None
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=False)
        text.encode()
    except (ValueError, TypeError, RecursionError):
        text = ""
    # PostgreSQL's jsonb takes no NUL, which JSON may spell.
    if not text or _NUL.search(text):
        raise FieldRefused(
            field,
            f"{field} holds what the database can't: write texts, finite numbers, booleans, lists, objects",
        )
    if len(text) > LARGEST_METADATA:
        raise FieldRefused(field, f"{field} is larger than {LARGEST_METADATA} characters: keep less in it")
    return cast("dict[str, Any]", value)
