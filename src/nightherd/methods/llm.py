"""Asks any OpenAI-compatible endpoint (Ollama, vLLM, llama.cpp, a hosted one), with retries, time-outs, a budget.

Needs the extra `llm`. Whatever the endpoint does, the caller gets a completion or one `EndpointError` with a remedy.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from nightherd.errors import EndpointError, MissingExtraError
from nightherd.methods.cache import Completion, CompletionCache, completion_key

_LONGEST_WAIT = 60.0
_MOST_ANSWER = 1500
"""Tokens of an answer: 400 words and room for what models say around them."""
_LARGEST = 400_000
"""Characters of a completion that are read before the endpoint is taken to be broken."""


@dataclass
class Budget:
    """Tokens that may be spent over all models and questions; None is without limit."""

    tokens: int | None = None
    spent: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def reserve(self, expected: int) -> None:
        """Sets tokens aside before a request.

        Raises:
            EndpointError: fewer are left than the request will take.
        """
        with self._lock:
            if self.tokens is not None and self.spent + expected > self.tokens:
                raise EndpointError(
                    f"the budget of {self.tokens:,} tokens is spent ({self.spent:,} used); answers so far are kept, "
                    "give a larger --budget and run the same command again to go on"
                )
            self.spent += expected

    def settle(self, expected: int, used: int) -> None:
        """Puts what a request really took in place of what was set aside."""
        with self._lock:
            self.spent += used - expected


class Endpoint:
    """One model at one endpoint.

    Args:
        model: its name there.
        url: the endpoint's base address, such as `http://localhost:11434/v1`.
        key: the key to it; None for those that need none.
        timeout: seconds that one request may take in all.
        retries: how often a request is repeated after a failure that may pass.
        budget: tokens that may be spent.
        cache: completions that need not be asked for again.
        sleep: waits; for tests.
    """

    def __init__(
        self,
        model: str,
        url: str,
        key: str | None = None,
        timeout: float = 120.0,
        retries: int = 3,
        budget: Budget | None = None,
        cache: CompletionCache | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        try:
            import openai
        except ImportError as error:
            raise MissingExtraError("llm", "asking a language model") from error
        if not url.startswith(("http://", "https://")):
            raise EndpointError("is no address; give --endpoint one like http://localhost:11434/v1", url)
        self.model, self.url = model, url.rstrip("/")
        self._timeout, self._retries, self._sleep = timeout, retries, sleep
        self._budget = budget if budget is not None else Budget()
        self._cache = cache if cache is not None else CompletionCache(None)
        self._client = openai.OpenAI(
            base_url=self.url, api_key=key or "none", timeout=timeout, max_retries=0, organization="", project=""
        )

    def complete(self, system: str, user: str) -> Completion:
        """What the model makes of two messages, from the cache where it was asked before.

        Raises:
            EndpointError: no completion could be had; nothing was kept.
        """
        key = completion_key(self.url, self.model, "temperature 0", system, user)
        if (held := self._cache.get(key)) is not None:
            return held
        expected = (len(system) + len(user)) // 4 + 400
        last = ""
        for attempt in range(self._retries + 1):
            self._budget.reserve(expected)
            used = 0
            try:
                text, used = self._request(system, user)
                used = used or (len(system) + len(user) + len(text)) // 4
            except _Passing as failure:
                last = str(failure)
                if attempt < self._retries:
                    self._sleep(min(_LONGEST_WAIT, failure.wait if failure.wait is not None else 2.0**attempt))
                continue
            finally:
                self._budget.settle(expected, used)
            completion = Completion(text, self.model, used)
            self._cache.put(key, completion)
            return completion
        tries = f", after {self._retries + 1} tries" if self._retries else ""
        remedy = f"check that {self.model} runs there, then run the same command again to go on"
        raise EndpointError(f"{last}{tries}; {remedy}", self.url)

    def _request(self, system: str, user: str) -> tuple[str, int]:
        """One request; the text and the tokens that it took by the endpoint's count (0 where it does not say)."""
        import openai

        is_reached = False
        try:
            stream: Any = self._client.chat.completions.create(
                model=self.model,
                messages=[{"role": "system", "content": system}, {"role": "user", "content": user}],
                temperature=0.0,
                max_tokens=_MOST_ANSWER,
                stream=True,
            )
            is_reached = True
            try:
                text, used = _read(stream, time.monotonic() + self._timeout)
            finally:
                stream.close()
        except openai.APITimeoutError as error:
            raise _Passing(f"gave no answer within {self._timeout:g} s") from error
        except openai.APIConnectionError as error:
            raise _Passing("broke off in the middle of its answer" if is_reached else "cannot be reached") from error
        except openai.APIStatusError as error:
            status = error.status_code
            if status in (408, 409, 429) or status >= 500:
                reason = "limits the rate of requests" if status == 429 else f"failed with status {status}"
                raise _Passing(reason, _retry_after(error.response.headers)) from error
            raise EndpointError(f"status {status}: {self._refusal(error)}", self.url) from error
        except openai.APIError as error:
            raise _Passing(f"broke off: {error.message}") from error
        except (openai.OpenAIError, ValueError, OSError) as error:
            raise _Passing(f"answered with something that is no completion ({type(error).__name__})") from error
        except Exception as error:  # the transport below openai has errors of its own, and which one is its secret
            if type(error).__module__.split(".")[0] not in ("httpx", "httpx2", "httpcore", "httpcore2", "h11"):
                raise
            kind = f"gave no answer within {self._timeout:g} s" if "Timeout" in type(error).__name__ else "broke off"
            raise _Passing(kind) from error
        if not text.strip():
            raise _Passing("answered with nothing")
        return text, used

    def _refusal(self, error: Any) -> str:
        """Why the endpoint refuses for good, and what to do."""
        if error.status_code in (401, 403):
            return "the key was refused; set NIGHTHERD_API_KEY to one that is valid there"
        if error.status_code == 404:
            return f"has no model '{self.model}', or is no OpenAI-compatible address (most end in /v1)"
        body = error.body if isinstance(error.body, dict) else {}
        return " ".join(str(body.get("message") or "refused the request").split())[:200]


class _Passing(Exception):
    """A failure that may pass, with the seconds that the endpoint wants to be left alone."""

    def __init__(self, message: str, wait: float | None = None) -> None:
        super().__init__(message)
        self.wait = wait


def _read(stream: Any, deadline: float) -> tuple[str, int]:
    """The text and the tokens of a response, whether it streams or comes as one piece of JSON."""
    kind = str(stream.response.headers.get("content-type", "")).split(";")[0].strip().lower()
    if kind == "application/json":
        return _whole(json.loads(stream.response.read()))
    if kind in ("text/html", "application/xhtml+xml"):
        raise _Passing("answered with a web page, not with a completion: is the address the one of its API?")
    parts: list[str] = []
    size = used = 0
    for piece, count in _pieces(stream):
        parts.append(piece)
        size += len(piece)
        used = max(used, count)
        if time.monotonic() > deadline:
            raise _Passing("was too slow: its answer did not end in time")
        if size > _LARGEST:
            raise _Passing("did not stop talking")
    return "".join(parts), used


def _whole(held: Any) -> tuple[str, int]:
    """The text and the tokens of a completion that came as one piece of JSON.

    Raises:
        ValueError: it is JSON of another kind.
    """
    try:
        return str(held["choices"][0]["message"]["content"] or ""), _tokens(held.get("usage"))
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise ValueError("no completion") from error


def _pieces(stream: Any) -> Iterator[tuple[str, int]]:
    for chunk in stream:
        choices = getattr(chunk, "choices", None) or []
        delta = getattr(choices[0], "delta", None) if choices else None
        yield str(getattr(delta, "content", None) or ""), _tokens(getattr(chunk, "usage", None))


def _tokens(usage: Any) -> int:
    total = usage.get("total_tokens") if isinstance(usage, dict) else getattr(usage, "total_tokens", None)
    return total if isinstance(total, int) and total > 0 else 0


def _retry_after(headers: Any) -> float | None:
    """The seconds of a Retry-After header; None where there is none, or a date."""
    try:
        return max(0.0, float(headers.get("retry-after", "")))
    except (TypeError, ValueError):
        return None
