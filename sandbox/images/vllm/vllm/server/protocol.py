# Copyright: aiserving.gke contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The bodies of vLLM's OpenAI-compatible API: what is accepted, how it is refused, what is answered."""

from __future__ import annotations

import dataclasses
import time
import typing as t
import uuid

from . import text
from .engine import Request

Json = dict[str, t.Any]

# What a chat template adds around every message, in tokens.
_MESSAGE_OVERHEAD = 4
_COMPLETION_MAX_TOKENS = 16


class ApiError(Exception):
    """An answer in vLLM's error shape."""

    def __init__(self, status: int, kind: str, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"error": {"message": message, "type": kind, "param": param, "code": status}}


def bad_request(message: str, param: str | None = None) -> ApiError:
    return ApiError(400, "BadRequestError", message, param)


@dataclasses.dataclass(frozen=True)
class Asked:
    """What a body asks for, checked; one request per prompt."""

    model: str
    chat: bool
    requests: tuple[Request, ...]
    stream: bool
    include_usage: bool
    continuous_usage: bool
    id: str
    created: int


@dataclasses.dataclass(frozen=True)
class Served:
    """What this server serves: the names it answers to (the first is in its answers), context length in tokens."""

    names: tuple[str, ...]
    root: str
    max_model_len: int
    created: int = dataclasses.field(default_factory=lambda: int(time.time()))


def parse(body: t.Any, served: Served, *, chat: bool) -> Asked:
    """Check a request's body. Raises ApiError: 400 for bad input, 404 for a model that is not served."""
    if not isinstance(body, dict):
        raise _invalid(
            "model_attributes_type", (), "Input should be a valid dictionary or object to extract fields from"
        )
    for name in ("messages",) if chat else ("prompt",):
        if body.get(name) is None:
            raise _invalid("missing", (name,), "Field required")
    model = body.get("model") or served.names[0]
    if model not in served.names:
        raise ApiError(404, "NotFoundError", f"The model `{model}` does not exist.", "model")
    stream = _boolean(body, "stream")
    stream_options = body.get("stream_options") or {}
    if stream_options and not stream:
        raise bad_request("Stream options can only be defined when `stream=True`.", "stream_options")
    prompts = [_chat_prompt(body["messages"])] if chat else _prompts(body["prompt"])
    step = 1 if stream else 16
    return Asked(
        model=served.names[0] if not body.get("model") else model,
        chat=chat,
        requests=tuple(_request(body, prompt, length, served, chat, step) for prompt, length in prompts),
        stream=stream,
        include_usage=bool(stream_options.get("include_usage")),
        continuous_usage=bool(stream_options.get("continuous_usage_stats")),
        id=("chatcmpl-" if chat else "cmpl-") + uuid.uuid4().hex,
        created=int(time.time()),
    )


def _request(body: Json, prompt: str, length: int, served: Served, chat: bool, step: int) -> Request:
    limit = served.max_model_len
    max_tokens = _integer(body, "max_completion_tokens") if chat else None
    if max_tokens is None:
        max_tokens = _integer(body, "max_tokens")
    if max_tokens is not None and max_tokens < 1:
        raise bad_request(f"max_tokens must be at least 1, got {max_tokens}.", "max_tokens")
    _check_sampling(body)
    if length >= limit:
        raise bad_request(
            f"This model's maximum context length is {limit} tokens. However, your request has {length} input tokens."
            " Please reduce the length of the input messages.",
            "input_tokens",
        )
    if max_tokens is not None and length + max_tokens > limit:
        raise bad_request(
            f"'max_tokens' or 'max_completion_tokens' is too large: {max_tokens}. This model's maximum context length"
            f" is {limit} tokens and your request has {length} input tokens ({max_tokens} > {limit} - {length}).",
            "max_tokens",
        )
    if max_tokens is None:
        max_tokens = limit - length if chat else min(_COMPLETION_MAX_TOKENS, limit - length)
    stop = body.get("stop") or ()
    return Request(
        prompt=prompt,
        prompt_tokens=length,
        max_tokens=max_tokens,
        min_tokens=_integer(body, "min_tokens") or 0,
        ignore_eos=_boolean(body, "ignore_eos"),
        stop=(stop,) if isinstance(stop, str) else tuple(stop),
        seed=_integer(body, "seed") or 0,
        step=step,
    )


def _check_sampling(body: Json) -> None:
    temperature = _number(body, "temperature")
    if temperature is not None and temperature < 0:
        raise bad_request(f"temperature must be non-negative, got {temperature}.", "temperature")
    top_p = _number(body, "top_p")
    if top_p is not None and not 0 < top_p <= 1:
        raise bad_request(f"top_p must be in (0, 1], got {top_p}.", "top_p")
    n = _integer(body, "n")
    if n is not None and n < 1:
        raise bad_request(f"n must be at least 1, got {n}.", "n")


def _chat_prompt(messages: t.Any) -> tuple[str, int]:
    if not isinstance(messages, list):
        raise _invalid("list_type", ("messages",), "Input should be a valid list")
    if not messages:
        raise bad_request("At least one message is required.", "messages")
    parts = []
    for index, message in enumerate(messages):
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise _invalid("missing", ("messages", index, "role"), "Field required")
        content = message.get("content")
        if isinstance(content, list):
            content = "\n".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
        if content is not None and not isinstance(content, str):
            raise _invalid("string_type", ("messages", index, "content"), "Input should be a valid string")
        parts.append(content or "")
    return "\n".join(parts), sum(len(text.tokens(part)) + _MESSAGE_OVERHEAD for part in parts)


def _prompts(prompt: t.Any) -> list[tuple[str, int]]:
    """(text, tokens) per prompt: a string, token ids, or a list of either."""
    if isinstance(prompt, str):
        return [(prompt, max(1, len(text.tokens(prompt))))]
    if isinstance(prompt, list) and prompt:
        if all(isinstance(item, int) for item in prompt):
            return [(" ".join(map(str, prompt)), len(prompt))]
        if all(isinstance(item, (str, list)) for item in prompt):
            return [pair for item in prompt for pair in _prompts(item)]
    raise bad_request("prompt must be a string, token ids, or a list of either, and not empty.", "prompt")


def _invalid(kind: str, where: tuple[str | int, ...], message: str) -> ApiError:
    return ApiError(400, "Bad Request", str([{"type": kind, "loc": ("body", *where), "msg": message}]))


def _integer(body: Json, name: str) -> int | None:
    value = body.get(name)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
        raise _invalid("int_type", (name,), "Input should be a valid integer")
    return value


def _number(body: Json, name: str) -> float | None:
    value = body.get(name)
    if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float))):
        raise _invalid("float_type", (name,), "Input should be a valid number")
    return value


def _boolean(body: Json, name: str) -> bool:
    value = body.get(name)
    if value is not None and not isinstance(value, bool):
        raise _invalid("bool_type", (name,), "Input should be a valid boolean")
    return bool(value)


def models(served: Served) -> Json:
    return {"object": "list", "data": [_model(served, name) for name in served.names]}


def _model(served: Served, name: str) -> Json:
    permission = {
        "id": f"modelperm-{uuid.uuid4().hex}",
        "object": "model_permission",
        "created": served.created,
        "allow_create_engine": False,
        "allow_sampling": True,
        "allow_logprobs": True,
        "allow_search_indices": False,
        "allow_view": True,
        "allow_fine_tuning": False,
        "organization": "*",
        "group": None,
        "is_blocking": False,
    }
    return {
        "id": name,
        "object": "model",
        "created": served.created,
        "owned_by": "vllm",
        "root": served.root,
        "parent": None,
        "max_model_len": served.max_model_len,
        "permission": [permission],
    }


def usage(prompt_tokens: int, completion_tokens: int) -> Json:
    return {
        "prompt_tokens": prompt_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
        "completion_tokens": completion_tokens,
        "prompt_tokens_details": None,
    }


def whole(asked: Asked, choices: list[Json], used: Json) -> Json:
    """The body of an answer that is not streamed."""
    return {
        "id": asked.id,
        "object": "chat.completion" if asked.chat else "text_completion",
        "created": asked.created,
        "model": asked.model,
        "choices": choices,
        "service_tier": None,
        "system_fingerprint": None,
        "usage": used,
        "kv_transfer_params": None,
    }


def choice(asked: Asked, index: int, answer: str, finish: str | None, stopped_by: str | None) -> Json:
    content: Json = {"text": answer}
    if asked.chat:
        message: Json = {
            "role": "assistant",
            "content": answer,
            "refusal": None,
            "tool_calls": [],
            "reasoning_content": None,
        }
        content = {"message": message}
    return {"index": index, **content, "logprobs": None, "finish_reason": finish, "stop_reason": stopped_by}


def chunk(asked: Asked, choices: list[Json], used: Json | None = None) -> Json:
    """One event of a streamed answer."""
    body: Json = {
        "id": asked.id,
        "object": "chat.completion.chunk" if asked.chat else "text_completion",
        "created": asked.created,
        "model": asked.model,
        "choices": choices,
    }
    return body if used is None else {**body, "usage": used}


def delta(asked: Asked, index: int, content: Json, finish: str | None = None, stopped_by: str | None = None) -> Json:
    """A choice of a chunk; ``content``: {"content": ...}, of which a text completion takes the text."""
    part: Json = {"delta": content} if asked.chat else {"text": content.get("content", "")}
    return {"index": index, **part, "logprobs": None, "finish_reason": finish, "stop_reason": stopped_by}
