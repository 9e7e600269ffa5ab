"""Lists of models, busy counters, transport exceptions and names of results."""

import errno
import socket
import ssl

import httpx
import pytest

from monitor.domain.classification import Fault
from monitor.domain.provider import ProviderType
from monitor.probing.busy import Look, is_busy, slots_look, vllm_look
from monitor.probing.catalog import load_catalog
from monitor.probing.faults import descriptors_exhausted, fault_of
from monitor.probing.fetch import Fetched
from monitor.probing.model_list import is_paged, lists, models_of
from monitor.probing.result_id import new_result_id


@pytest.mark.parametrize(
    ("document", "models"),
    [
        ({"data": [{"id": "a"}, {"id": "b"}]}, ("a", "b")),
        ([{"id": "a"}], ("a",)),
        ({"models": [{"name": "llama3:latest", "model": "llama3:latest"}]}, ("llama3:latest",)),
        ({"models": [{"name": "models/gemini-x"}]}, ("gemini-x",)),
        ({"models": []}, ()),
        ({"error": "no"}, None),
        (None, None),
        ("x", None),
    ],
)
def test_models_are_read_in_every_shape(document: object, models: tuple[str, ...] | None) -> None:
    assert models_of(document) == models


@pytest.mark.parametrize(
    ("provider", "listed", "wanted", "found"),
    [
        ("openrouter", "openai/gpt-x", "openrouter/openai/gpt-x", True),
        ("google", "gemini-x", "models/gemini-x", True),
        ("google", "gemini-x", "gemini/gemini-x", True),
        ("fireworks", "accounts/fireworks/models/x", "accounts/fireworks/models/x", True),
        ("openai", "gpt-x-mini", "gpt-x", False),
    ],
)
def test_a_listed_model_is_found_under_its_other_names(
    provider: str, listed: str, wanted: str, found: bool
) -> None:
    entry = load_catalog().find(ProviderType.API_KEY, provider)
    assert entry is not None
    assert lists((listed,), wanted, entry) is found


def test_ollamas_latest_may_be_left_out() -> None:
    entry = load_catalog().find(ProviderType.AI_SERVER, "ollama")
    assert entry is not None
    assert lists(("llama3:latest",), "llama3", entry)
    assert not lists(("llama3:8b",), "llama3", entry)


def test_a_page_of_a_list_is_known_as_one() -> None:
    assert is_paged({"data": [], "has_more": True})
    assert is_paged({"models": [], "nextPageToken": "x"})
    assert not is_paged({"data": [], "has_more": False})


def test_moving_counters_and_full_slots_are_busy() -> None:
    before = vllm_look('vllm:generation_tokens_total{engine="0"} 10.0\nvllm:prompt_tokens_total 1\n')
    after = vllm_look('vllm:generation_tokens_total{engine="0"} 12.0\nvllm:prompt_tokens_total 1\n')
    assert before is not None
    assert is_busy(before, after)
    assert not is_busy(before, before)
    assert not is_busy(before, None)
    assert not is_busy(None, after)
    assert is_busy(None, Look(marks=(), full=True))
    assert vllm_look("process_cpu_seconds_total 1\n") is None


def test_slots_tell_their_task_and_their_token() -> None:
    body = b'[{"id": 0, "id_task": 3, "is_processing": true, "next_token": [{"n_decoded": 5}]}, {"id": 1}]'
    look = slots_look(Fetched(status=200, body=body))
    assert look == Look(marks=(3.0, 5.0, 0.0, 0.0), full=False)
    assert slots_look(Fetched(status=200, body=b"[]")) is None
    assert slots_look(Fetched(status=200, body=b'{"error": "slots are disabled"}')) is None


def caused(error: Exception, cause: BaseException) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (caused(httpx.ConnectError("x"), socket.gaierror(-2, "unknown")), Fault.DNS),
        (caused(httpx.ConnectError("x"), ssl.SSLCertVerificationError("bad")), Fault.TLS),
        (caused(httpx.ConnectError("x"), ConnectionRefusedError(errno.ECONNREFUSED, "no")), Fault.REFUSED),
        (
            caused(
                httpx.ConnectError("x"),
                ExceptionGroup("all", [OSError(errno.EHOSTUNREACH, "v6"), OSError(errno.ECONNREFUSED, "v4")]),
            ),
            Fault.REFUSED,
        ),
        (caused(httpx.ConnectError("x"), OSError(errno.EHOSTUNREACH, "no route")), Fault.NETWORK),
        (httpx.ConnectTimeout("x"), Fault.CONNECT_TIMEOUT),
        (httpx.ReadTimeout("x"), Fault.TIMEOUT),
        (httpx.RemoteProtocolError("Server disconnected without sending a response."), Fault.RESET),
        (httpx.RemoteProtocolError("illegal status line"), Fault.GARBAGE),
        (httpx.ReadError("x"), Fault.RESET),
    ],
)
def test_a_transports_exception_tells_its_fault(error: Exception, fault: Fault) -> None:
    assert fault_of(error, answered=False) is fault


def test_after_the_head_of_an_answer_it_is_cut_or_stalled() -> None:
    assert fault_of(httpx.ReadError("x"), answered=True) is Fault.CUT
    assert fault_of(httpx.ReadTimeout("x"), answered=True) is Fault.STALLED


def test_lack_of_descriptors_is_found_under_any_wrapping() -> None:
    inner = ExceptionGroup("all", [OSError(errno.EMFILE, "too many")])
    assert descriptors_exhausted(caused(httpx.ConnectError("x"), inner))
    assert not descriptors_exhausted(httpx.ConnectError("x"))


def test_result_ids_are_ordered_in_time_and_of_version_seven() -> None:
    ids = [new_result_id(1_767_000_000_000 + step) for step in range(50)]
    assert ids == sorted(ids)
    assert len(set(ids)) == 50
    assert all(len(one) == 32 and one[12] == "7" and one[16] in "89ab" for one in ids)
