"""Logs: whatever a line is made of, no secret and no broken line gets out."""

import base64
import io
import json
import logging
import warnings
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog
from cryptography.fernet import Fernet

from monitor.logs import MASK, Redactor, configure

FERNET = base64.urlsafe_b64encode(bytes(range(100, 132)))
SECRETS = [
    "llmm_12_cCDroHapzEjDtEhlnPq7asw1nLqyg_BoYG-75CvSUkk",
    "sk-0123456789abcdef0123456789",
    "sk-proj-abc_DEF-0123456789",
    "sk-ant-api03-abc_DEF-0123456789",
    "sk-or-v1-0123456789abcdef",
    "sk-proj-********************abcd",
    "gsk_0123456789abcdefABCDEF",
    "xai-0123456789abcdefABCDEF",
    "hf_abcdefGHIJKLmnop0123",
    "AIzaSyA-0123456789abcdef_0123456789abcd",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abc-DEF_123",
    Fernet(FERNET).encrypt(b"a provider's key").decode(),
    FERNET.decode(),
]


pytestmark = pytest.mark.usefixtures("own_logging")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


@pytest.mark.parametrize("secret", SECRETS, ids=[secret[:4] for secret in SECRETS])
@pytest.mark.parametrize(
    "around", ["{}", "key {}.", '{{"error": "Incorrect API key provided: {}"}}', "a={},b", "({})"]
)
def test_everything_that_looks_like_a_key_is_masked(secret: str, around: str) -> None:
    text = Redactor().text(around.format(secret))
    assert secret not in text
    assert secret[8:] not in text
    assert MASK in text


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("Authorization: Bearer abc.def-123", "Authorization: ****"),
        ("sent bearer abc.def-123 there", "sent bearer **** there"),
        ("postgresql://me:p%40ss@db:5432/ops", "postgresql://me:****@db:5432/ops"),
        ("redis://:pass@h/0 and http://u:p@ss@h/", "redis://:****@h/0 and http://u:****@h/"),
        ("password=hunter22&x=1", "password=****&x=1"),
        ('{"api_key": "something"}', '{"api_key": "****"}'),
    ],
)
def test_what_is_named_as_a_secret_is_masked(text: str, masked: str) -> None:
    assert Redactor().text(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        "provider_changed api_key:1/chat",
        "POST https://api.openai.com/v1/chat/completions 503",
        "http://127.0.0.1:8000/v1",
        "task-force risk-averse disk-usage desk-lamp",
        "0198f2c4a7d17cc3b2a1d3f4e5a6b7c8",
        "max_tokens: 4096, tokens_in=12",
        "BYOK_ENCRYPTION_KEY: is no encryption key; llm-monitor generate-key makes one",
        "gpt-4o-mini meta-llama/Llama-3.3-70B-Instruct sentence-transformers/all-MiniLM-L6-v2",
        "two\nlines\tand a tab",
        "purpose chat: api_key:12 (main), fallback ai_server:2/chat, api_key:3.",
    ],
)
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert Redactor().text(text) == text


def test_known_secrets_are_masked_wherever_they_stand() -> None:
    redactor = Redactor()
    redactor.add("correct horse", "correct horse battery", "pass/word+1", "short")
    assert redactor.text("xcorrect horse batteryx correct horse, correct hors") == "x****x ****, correct hors"
    assert redactor.text("at pass/word+1 and pass%2Fword%2B1 in short") == "at **** and **** in short"


@pytest.mark.timeout(30)
def test_one_of_twenty_thousand_known_secrets_is_found() -> None:
    redactor = Redactor()
    redactor.add(*(f"{n:08x}-secret" for n in range(20_000)))
    text = "nothing of interest here " * 100
    assert redactor.text(f"{text}00000007-secret") == f"{text}****"


def test_values_are_masked_all_the_way_down() -> None:
    class Unprintable:
        def __str__(self) -> str:
            raise RuntimeError

    class Holder:
        def __repr__(self) -> str:
            return f"Holder({SECRETS[0]})"

    event = Redactor()(
        None,
        "info",
        {
            "event": f"it {SECRETS[1]} happened",
            "nested": [{"deep": (SECRETS[2], {SECRETS[3]: frozenset([SECRETS[4]])})}],
            "raw": SECRETS[5].encode(),
            "error": ValueError(SECRETS[6]),
            "holder": Holder(),
            "unprintable": Unprintable(),
            "api_key": "anything at all",
            "inner": {"postgres_password": "anything at all", "tokens": 5},
            "numbers": [1, 2.5, True, None],
            "when": datetime(2026, 3, 1, tzinfo=UTC),
            "took": timedelta(seconds=1.5),
            "path": Path("/srv/data"),
        },
    )
    text = json.dumps(event)
    assert not [secret for secret in SECRETS if secret in text]
    assert "anything" not in text
    assert event["numbers"] == [1, 2.5, True, None]
    assert (event["when"], event["took"], event["path"]) == ("2026-03-01T00:00:00+00:00", 1.5, "/srv/data")
    assert event["unprintable"] == "<Unprintable that cannot be shown>"
    assert event["inner"] == {"postgres_password": MASK, "tokens": 5}


@pytest.mark.timeout(30)  # without a bound it takes minutes and more
def test_the_work_on_one_event_is_bounded() -> None:
    loop: list[Any] = []
    loop.append(loop)
    event = {
        "loop": loop,
        "wide": list(range(1_000_000)),
        "long": f"start {'x' * 5_000_000}{SECRETS[0]} end",
        "hard": "://a:" * 200_000,
        "harder": "a" * 500_000 + "@",
        "api": "api_key=" * 100_000,
    }
    text = json.dumps(Redactor()(None, "info", event))
    assert len(text) < 100_000
    assert "start" in text
    assert "end" in text
    assert "characters left out" in text


def test_a_key_is_not_halved_where_a_long_text_is_cut() -> None:
    for shift in range(0, 40, 3):
        text = Redactor().text("x " * (4_990 + shift // 2) + SECRETS[3] + " y" * 20_000)
        assert "0123456789" not in text
        assert "sk-or" not in text


def test_control_characters_do_not_reach_a_terminal() -> None:
    assert Redactor().text("a\x1b[31mb\x00c\x9bd\u202ee\nf") == "a[31mbcde\nf"


def test_events_are_lines_of_json_off_a_terminal() -> None:
    stream = io.StringIO()
    configure(stream=stream)
    structlog.get_logger().info("provider_up", provider="api_key:1", text="two\nlines", name="Größe")
    (line,) = lines(stream)
    assert (line["event"], line["level"], line["provider"], line["name"]) == (
        "provider_up",
        "info",
        "api_key:1",
        "Größe",
    )
    at = datetime.fromisoformat(line["timestamp"])
    assert at.utcoffset() == timedelta(0)
    assert abs(datetime.now(UTC) - at) < timedelta(seconds=60)


def test_events_are_for_a_person_on_a_terminal() -> None:
    stream = Terminal()
    configure(stream=stream)
    structlog.get_logger().warning("provider_down", key=SECRETS[0])
    text = stream.getvalue()
    assert "provider_down" in text
    assert SECRETS[0] not in text
    with pytest.raises(json.JSONDecodeError):
        json.loads(text)
    configure(format="json", stream=(forced := Terminal()))
    structlog.get_logger().info("event")
    assert lines(forced)
    configure(format="console", stream=(plain := io.StringIO()))
    structlog.get_logger().info("event")
    assert "\x1b" not in plain.getvalue()
    assert "event" in plain.getvalue()


def test_levels_hold_for_events_and_for_libraries() -> None:
    stream = io.StringIO()
    configure("warning", stream=stream)
    structlog.get_logger().info("quiet")
    logging.getLogger("asyncio").info("quiet")
    structlog.get_logger().error("loud")
    logging.getLogger("asyncio").warning("loud too")
    assert [line["event"] for line in lines(stream)] == ["loud", "loud too"]


@pytest.mark.parametrize("level", ["debug", "info", "error"])
def test_chatty_libraries_speak_only_from_warnings_on(level: str) -> None:
    stream = io.StringIO()
    configure(level, stream=stream)
    for name in ("httpx", "LiteLLM", "apscheduler.scheduler", "uvicorn.access"):
        logging.getLogger(name).info("chatter")
        logging.getLogger(name).critical("news")
    assert [line["event"] for line in lines(stream)] == ["news"] * 4


def test_lines_of_libraries_pass_the_same_redactor() -> None:
    stream = io.StringIO()
    redactor = configure(stream=stream)
    redactor.add("my very own secret")
    logging.getLogger("uvicorn.error").error("refused %s for %s", SECRETS[0], "my very own secret")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn(f"beware of {SECRETS[1]}", stacklevel=1)
    first, second = lines(stream)
    assert first["event"] == "refused **** for ****"
    assert first["logger"] == "uvicorn.error"
    assert SECRETS[1] not in second["event"]


def test_tracebacks_are_shown_without_secrets_and_without_locals() -> None:
    def fail(local: str) -> None:
        try:
            raise OSError(f"upstream said {SECRETS[0]}")  # noqa: TRY301
        except OSError as error:
            raise RuntimeError("Bearer abcdefgh") from error

    for form in ("json", "console"):
        stream = io.StringIO()
        redactor = configure(format=form, stream=stream)
        redactor.add("known to be secret")
        try:
            fail("eulav fo lacol a"[::-1])
        except RuntimeError:
            structlog.get_logger().error("job_failed", exc_info=True)
            logging.getLogger("asyncio").exception("known to be secret")
        text = stream.getvalue()
        assert text.count("OSError: upstream said ****") == 2
        assert text.count("RuntimeError: Bearer ****") == 2
        assert "in fail" in text
        for secret in (SECRETS[0], "abcdefgh", "a local of value", "known to be secret"):
            assert secret not in text


def test_a_stream_that_is_gone_costs_nothing_and_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    stream = io.StringIO()
    configure(stream=stream)
    stream.close()
    structlog.get_logger().error("unheard", key=SECRETS[0])
    logging.getLogger("asyncio").error("unheard")
    assert capsys.readouterr() == ("", "")


def test_context_is_part_of_every_line() -> None:
    stream = io.StringIO()
    configure(stream=stream)
    with structlog.contextvars.bound_contextvars(purpose="chat"):
        structlog.get_logger().info("one")
        logging.getLogger("asyncio").warning("two")
    assert [line["purpose"] for line in lines(stream)] == ["chat", "chat"]
