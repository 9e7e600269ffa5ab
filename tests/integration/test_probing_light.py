"""Light probes against a real server: what they tell, and what they are told by faults."""

import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from monitor.domain.outcome import Outcome
from monitor.domain.target import ProbeKind
from monitor.probing.prober import Prober
from tests.fault_server import FaultServer
from tests.targets import (
    LITELLM_WARNS,
    PLANTED_KEY,
    provider_target,
    running_prober,
    server_target,
    short_policy,
)

pytestmark = [pytest.mark.asyncio(loop_scope="module"), *LITELLM_WARNS]

POLICY = short_policy()
LIGHT = ProbeKind.LIGHT


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def prober() -> AsyncIterator[Prober]:
    async with running_prober() as prober:
        yield prober


@pytest_asyncio.fixture(loop_scope="module")
async def server() -> AsyncIterator[FaultServer]:
    async with FaultServer(keys={PLANTED_KEY}) as server:
        yield server


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        ("hang_headers", Outcome.TIMEOUT),
        ("reset", Outcome.UNREACHABLE),
        ("garbage", Outcome.BAD_RESPONSE),
        ("redirect", Outcome.BAD_RESPONSE),
        ("endless", Outcome.BAD_RESPONSE),
        ("empty_200", Outcome.BAD_RESPONSE),
        ("wrong_type", Outcome.BAD_RESPONSE),
        ("error_200", Outcome.BAD_RESPONSE),
        ("429_date", Outcome.RATE_LIMITED),
        ("402", Outcome.QUOTA_EXHAUSTED),
        ("401", Outcome.AUTH_FAILED),
        ("echo_key", Outcome.AUTH_FAILED),
        ("403_html", Outcome.BAD_RESPONSE),
        ("503_loading", Outcome.STARTING),
        ("500", Outcome.SERVER_ERROR),
    ],
)
async def test_a_fault_becomes_its_outcome(
    fault: str, outcome: Outcome, prober: Prober, server: FaultServer
) -> None:
    async with FaultServer() as elsewhere:
        server.redirect_to = elsewhere.url
        server.play(fault, scope="light")
        result = await prober.probe(provider_target("openai", server.url), LIGHT, POLICY)
        assert elsewhere.seen == []
    assert result.outcome is outcome, result.detail
    assert result.ended_at - result.started_at < POLICY.timeout + timedelta(seconds=1)
    assert PLANTED_KEY[:10] not in repr(result)
    if fault == "429_date":
        assert result.retry_after is not None
        assert timedelta(seconds=80) < result.retry_after <= timedelta(seconds=90)


@pytest.mark.parametrize(
    "provider", ["openai", "anthropic", "google", "cohere", "openrouter", "deepseek", "groq"]
)
async def test_a_bad_key_is_refused_by_every_providers_check(
    provider: str, prober: Prober, server: FaultServer
) -> None:
    base = server.url + ("/v1beta" if provider == "google" else "")
    good = await prober.probe(provider_target(provider, base), LIGHT, POLICY)
    bad = await prober.probe(provider_target(provider, base, key="sk-wrong-key-0000"), LIGHT, POLICY)
    assert (good.outcome, bad.outcome) == (Outcome.OK, Outcome.AUTH_FAILED), (good.detail, bad.detail)


async def test_credit_limits_and_the_list_are_read(prober: Prober, server: FaultServer) -> None:
    openrouter = await prober.probe(
        provider_target("openrouter", server.url, model="vendor/m1"), LIGHT, POLICY
    )
    assert openrouter.readings.credit_remaining_usd == 7.25
    assert openrouter.readings.model_listed is True
    assert openrouter.readings.models is None
    deepseek = await prober.probe(provider_target("deepseek", server.url), LIGHT, POLICY)
    assert deepseek.readings.credit_remaining_usd == 3.5
    openai = await prober.probe(provider_target("openai", server.url, model="gone"), LIGHT, POLICY)
    assert openai.outcome is Outcome.OK
    assert openai.readings.model_listed is False
    assert openai.readings.ratelimit_remaining == {"requests": 42.0}
    assert openai.readings.credit_remaining_usd is None


async def test_a_long_list_is_not_fetched_with_every_check(prober: Prober, server: FaultServer) -> None:
    target = provider_target("openrouter", server.url, number=7)
    for _ in range(3):
        result = await prober.probe(target, LIGHT, POLICY)
    assert [one.path for one in server.seen] == ["/key", "/models", "/key", "/key"]
    assert result.readings.model_listed is True


async def test_a_server_tells_its_models_and_that_its_key_counts(prober: Prober, server: FaultServer) -> None:
    for provider in ("vllm", "ollama", "llamacpp"):
        good = await prober.probe(server_target(provider, server.url), LIGHT, POLICY)
        assert good.outcome is Outcome.OK, good.detail
        assert good.readings.model_listed is True
        assert good.readings.models is not None
        bad = await prober.probe(
            server_target(provider, server.url, key="wrong-key", number=9), LIGHT, POLICY
        )
        assert bad.outcome is Outcome.AUTH_FAILED, bad.detail


async def test_a_provider_without_a_known_check_is_no_vote(prober: Prober) -> None:
    result = await prober.probe(provider_target("perplexity", None, model="sonar"), LIGHT, POLICY)
    assert result.outcome is Outcome.INDETERMINATE


async def test_a_closed_port_is_unreachable(prober: Prober, server: FaultServer) -> None:
    await server.stop()
    for kind in ProbeKind:
        result = await prober.probe(server_target("vllm", server.url), kind, POLICY)
        assert result.outcome is Outcome.UNREACHABLE
        assert "refused" in result.detail
        assert result.latency_seconds is None


def certificate(folder: Path, end: datetime) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    import ipaddress

    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime.now(UTC) - timedelta(days=1))
        .not_valid_after(end)
        .add_extension(address, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    chain, private = folder / "cert.pem", folder / "key.pem"
    chain.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return chain, private


async def test_a_certificates_end_is_told_and_an_unknown_one_refused(
    prober: Prober, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    end = (datetime.now(UTC) + timedelta(days=20)).replace(microsecond=0)
    chain, private = certificate(tmp_path, end)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, private)
    async with FaultServer(tls=context) as server:
        target = server_target("vllm", server.url)
        for kind in ProbeKind:
            refused = await prober.probe(target, kind, POLICY)
            assert (refused.outcome, "tls" in refused.detail) == (Outcome.UNREACHABLE, True), refused.detail
        assert server.seen == []
        monkeypatch.setenv("SSL_CERT_FILE", str(chain))
        async with running_prober() as trusting:
            for kind in ProbeKind:
                result = await trusting.probe(target, kind, POLICY)
                assert result.outcome is Outcome.OK, result.detail
                assert result.readings.tls_expires_at == end
