"""The bodies that the fault-playing server answers with, in each provider's shape."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class FaultAnswer:
    """A refusal: its status, headers and body by shape and model."""

    status: int
    code: str = ""
    message: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    html: bool = False

    def body(self, shape: str, model: str) -> Any:
        message = self.message.replace("MODEL", model)
        match shape:
            case "anthropic":
                return {"type": "error", "error": {"type": self.code, "message": message}}
            case "gemini":
                return [{"error": {"code": self.status, "message": message, "status": self.code.upper()}}]
            case "cohere":
                return {"message": message}
            case _:
                return {"error": {"message": message, "type": self.code, "param": None, "code": self.code}}


FAULT_ANSWERS: dict[str, FaultAnswer] = {
    "400_other": FaultAnswer(400, "invalid_request_error", "temperature must be between 0 and 2"),
    "400_model": FaultAnswer(400, "invalid_request_error", "Invalid model: MODEL"),
    "400_quota": FaultAnswer(
        400, "invalid_request_error", "Your credit balance is too low to access the API"
    ),
    "401": FaultAnswer(401, "authentication_error", "invalid api key"),
    "402": FaultAnswer(402, "payment_required", "Insufficient credits"),
    "403_html": FaultAnswer(403, html=True),
    "403_json": FaultAnswer(403, "permission_denied", "Your API key has no permission for this"),
    "404_model": FaultAnswer(404, "model_not_found", "The model MODEL does not exist"),
    "404_html": FaultAnswer(404, html=True),
    "429": FaultAnswer(429, "rate_limit_exceeded", "Slow down"),
    "429_seconds": FaultAnswer(429, "rate_limit_exceeded", "Slow down", {"retry-after": "7"}),
    "429_date": FaultAnswer(429, "rate_limit_exceeded", "Slow down", {"retry-after": "DATE"}),
    "429_quota": FaultAnswer(429, "insufficient_quota", "You exceeded your current quota, check your plan"),
    "500": FaultAnswer(500, "server_error", "The server had an error"),
    "503": FaultAnswer(503, "unavailable", "no upstream"),
    "503_loading": FaultAnswer(503, "unavailable_error", "Loading model"),
    "529": FaultAnswer(529, "overloaded_error", "Overloaded"),
    "error_200": FaultAnswer(200, "server_error", "something went wrong"),
}


def shape_of(path: str) -> str:
    """Which provider's API a path belongs to."""
    if path.endswith(("/embeddings", "/embed", "EmbedContents")):
        return "embeddings"
    if path.endswith("/rerank"):
        return "rerank"
    if path.endswith("/messages"):
        return "anthropic"
    if "GenerateContent" in path or "generateContent" in path:
        return "gemini"
    if path.endswith("/v2/chat"):
        return "cohere"
    return "ollama" if path.endswith("/api/chat") else "openai"


def plain_answer(shape: str, path: str, model: str) -> Any:
    """A whole answer."""
    vector = [0.6, 0.8, 0.0]
    match shape:
        case "rerank":
            results = [{"index": 0, "relevance_score": 0.9}, {"index": 1, "relevance_score": 0.1}]
            return {"id": "r", "results": results, "meta": {"billed_units": {"search_units": 1}}}
        case "embeddings" if path.endswith("/embed"):
            billed = {"billed_units": {"input_tokens": 9}}
            return {"id": "e", "embeddings": {"float": [vector]}, "texts": ["x"], "meta": billed}
        case "embeddings" if path.endswith("EmbedContents"):
            return {"embeddings": [{"values": vector}]}
        case "embeddings":
            data = [{"object": "embedding", "index": 0, "embedding": vector}]
            return {
                "object": "list",
                "data": data,
                "model": model,
                "usage": {"prompt_tokens": 9, "total_tokens": 9},
            }
        case "cohere":
            said = {"role": "assistant", "content": [{"type": "text", "text": "OK."}]}
            spent = {"tokens": {"input_tokens": 5, "output_tokens": 2}}
            return {"id": "c", "finish_reason": "COMPLETE", "message": said, "usage": spent}
        case _:
            choice = {"index": 0, "message": {"role": "assistant", "content": "OK."}, "finish_reason": "stop"}
            usage = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
            return {
                "id": "c",
                "object": "chat.completion",
                "created": 1,
                "model": model,
                "choices": [choice],
                "usage": usage,
            }


def stream_answer(shape: str, model: str, *, finish: bool, reasoning: bool) -> list[bytes]:
    """The pieces of a stream: opening, text, end; without `finish` it ends as if it were done."""
    match shape:
        case "anthropic":
            return [_event(value) for value in _anthropic(model, finish=finish, reasoning=reasoning)]
        case "gemini":
            return [_data(value) for value in _gemini(finish=finish, reasoning=reasoning)]
        case "cohere":
            return [_data(value) for value in _cohere(finish=finish, reasoning=reasoning)]
        case _:
            pieces = [_data(value) for value in _openai(model, finish=finish, reasoning=reasoning)]
            return [*pieces, b"data: [DONE]\n\n"]


def _data(value: object) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def _event(value: dict[str, Any]) -> bytes:
    return b"event: " + str(value["type"]).encode() + b"\n" + _data(value)


def _openai(model: str, *, finish: bool, reasoning: bool) -> list[dict[str, Any]]:
    def chunk(delta: dict[str, str], reason: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        return {
            "id": "c",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": model,
            "choices": [choice],
        }

    text = {"reasoning_content": "hmm"} if reasoning else {"content": "OK"}
    pieces = [chunk({"role": "assistant", "content": ""}), chunk(text), chunk(text)]
    if finish:
        pieces.append(chunk({}, "length" if reasoning else "stop"))
    usage = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
    last = {
        "id": "c",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": model,
        "choices": [],
        "usage": usage,
    }
    return [*pieces, last]


def _anthropic(model: str, *, finish: bool, reasoning: bool) -> list[dict[str, Any]]:
    message: dict[str, Any] = {
        "id": "m",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 5, "output_tokens": 1},
    }
    kind = {"type": "thinking", "thinking": ""} if reasoning else {"type": "text", "text": ""}
    delta = (
        {"type": "thinking_delta", "thinking": "hm"} if reasoning else {"type": "text_delta", "text": "OK"}
    )
    pieces: list[dict[str, Any]] = [
        {"type": "message_start", "message": message},
        {"type": "content_block_start", "index": 0, "content_block": kind},
        {"type": "content_block_delta", "index": 0, "delta": delta},
        {"type": "content_block_stop", "index": 0},
    ]
    if finish:
        end = {"stop_reason": "max_tokens" if reasoning else "end_turn", "stop_sequence": None}
        pieces.append({"type": "message_delta", "delta": end, "usage": {"output_tokens": 2}})
        pieces.append({"type": "message_stop"})
    return pieces


def _gemini(*, finish: bool, reasoning: bool) -> list[dict[str, Any]]:
    part: dict[str, Any] = {"text": "hm", "thought": True} if reasoning else {"text": "OK"}
    usage = {"promptTokenCount": 5, "candidatesTokenCount": 2, "totalTokenCount": 7}
    piece = {
        "candidates": [{"content": {"role": "model", "parts": [part]}, "index": 0}],
        "usageMetadata": usage,
    }
    pieces = [piece, piece, piece]
    if finish:
        candidate = {
            "content": {"role": "model", "parts": [part]},
            "finishReason": "MAX_TOKENS" if reasoning else "STOP",
            "index": 0,
        }
        pieces.append({"candidates": [candidate], "usageMetadata": usage})
    return pieces


def _cohere(*, finish: bool, reasoning: bool) -> list[dict[str, Any]]:
    content = {"type": "thinking", "thinking": "hm"} if reasoning else {"type": "text", "text": "OK"}
    pieces: list[dict[str, Any]] = [
        {"type": "message-start", "id": "m", "delta": {"message": {"role": "assistant"}}},
        {"type": "content-start", "index": 0, "delta": {"message": {"content": {**content, "text": ""}}}},
        {"type": "content-delta", "index": 0, "delta": {"message": {"content": content}}},
        {"type": "content-end", "index": 0},
    ]
    if finish:
        usage = {"tokens": {"input_tokens": 5, "output_tokens": 2}}
        reason = "MAX_TOKENS" if reasoning else "COMPLETE"
        pieces.append({"type": "message-end", "delta": {"finish_reason": reason, "usage": usage}})
    return pieces
