"""What a running daemon takes up of settings that were read again."""

from dataclasses import fields, replace
from datetime import timedelta
from pathlib import Path

from pydantic import SecretStr

from monitor.domain.policy import Policy
from monitor.domain.provider import Purpose
from monitor.settings import DatabaseSettings, Settings
from monitor.settings.change import WHILE_RUNNING, compare

BEFORE = Settings(data_dir=Path("/var/lib/llm-monitor"), purpose_policies={Purpose.CHAT: Policy(fall=4)})


def test_nothing_new_changes_nothing() -> None:
    change = compare(BEFORE, replace(BEFORE, origins={"port": "elsewhere"}))
    assert (change.settings, change.taken_up, change.waiting) == (BEFORE, (), ())


def test_what_can_change_is_taken_up_and_named() -> None:
    after = replace(
        BEFORE,
        policy=Policy(fall=5, hold=timedelta(minutes=1)),
        purpose_policies={Purpose.CHAT: Policy(fall=4, rise=3), Purpose.RERANKING: Policy()},
        log_level="debug",
        log_format="json",
        allowed_hosts=("monitor.example",),
        trust_proxy=("10.0.0.0/8",),
        retention_days=3,
        retention_hourly_days=30,
        retention_daily_days=100,
    )
    change = compare(BEFORE, after)
    assert change.settings == after
    assert set(change.taken_up) == {
        "policy.fall",
        "policy.hold",
        "purposes.chat.rise",
        "purposes.reranking",
        "log_level",
        "log_format",
        "allowed_hosts",
        "trust_proxy",
        "retention_days",
        "retention_hourly_days",
        "retention_daily_days",
    }
    assert change.waiting == ()


def test_what_is_built_in_at_the_start_waits_and_stays_named_until_it_is_taken_back() -> None:
    after = replace(
        BEFORE,
        port=9000,
        database=DatabaseSettings(host="db", port=5432, password=SecretStr("first")),
        provider_keys={"openai": SecretStr("sk-1")},
        encryption_key=SecretStr("key"),
        log_level="debug",
    )
    change = compare(BEFORE, after)
    assert change.settings == replace(BEFORE, log_level="debug")
    assert set(change.waiting) == {
        "port",
        "postgres_host",
        "postgres_port",
        "postgres_password",
        "openai_api_key",
        "encryption_key",
    }
    assert compare(change.settings, after).waiting == change.waiting, "at the next reading still"
    assert compare(change.settings, replace(BEFORE, log_level="debug")).waiting == ()


def test_a_changed_password_is_named_and_not_told() -> None:
    one = replace(BEFORE, database=DatabaseSettings(host="db", password=SecretStr("before")))
    two = replace(BEFORE, database=DatabaseSettings(host="db", password=SecretStr("after")))
    change = compare(one, two)
    assert change.waiting == ("postgres_password",)
    assert change.settings.database == one.database


def test_whoever_can_change_while_running_is_a_setting() -> None:
    assert {field.name for field in fields(Settings)} >= WHILE_RUNNING
