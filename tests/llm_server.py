"""A real HTTP server on loopback that plays a language model's endpoint: whatever it is told to answer, in turn."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Reply:
    """One response: a status, headers, a body that may come in pieces with pauses between."""

    pieces: list[bytes]
    status: int = 200
    kind: str = "text/event-stream"
    headers: dict[str, str] = field(default_factory=dict)
    pause: float = 0.0
    breaks_off: bool = False


def stream(text: str, size: int = 20, pause: float = 0.0, tokens: int | None = None, breaks_off: bool = False) -> Reply:
    """A completion as server-sent events, a few characters each."""
    chunks: list[dict[str, Any]] = [
        {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "toy",
         "choices": [{"index": 0, "delta": {"content": text[at : at + size]}, "finish_reason": None}]}
        for at in range(0, len(text), size)
    ]  # fmt: skip
    if tokens is not None:
        usage = {"prompt_tokens": 1, "completion_tokens": tokens - 1, "total_tokens": tokens}
        chunks.append(
            {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "toy", "choices": [], "usage": usage}
        )
    pieces = [f"data: {json.dumps(chunk)}\n\n".encode() for chunk in chunks]
    return Reply(pieces if breaks_off else [*pieces, b"data: [DONE]\n\n"], pause=pause, breaks_off=breaks_off)


def whole(text: str | None, tokens: int = 50) -> Reply:
    """A completion as one piece of JSON, from an endpoint that does not stream."""
    body = {
        "id": "1", "object": "chat.completion", "created": 1, "model": "toy",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": tokens - 1, "completion_tokens": 1, "total_tokens": tokens},
    }  # fmt: skip
    return Reply([json.dumps(body).encode()], kind="application/json")


def failure(status: int, message: str = "no", headers: dict[str, str] | None = None) -> Reply:
    """A refusal as OpenAI's servers word it."""
    body = json.dumps({"error": {"message": message, "type": "x", "code": None}}).encode()
    return Reply([body], status, "application/json", headers or {})


HTML = Reply([b"<html><body><h1>Welcome to the proxy</h1></body></html>"], kind="text/html")


@dataclass
class Server:
    """Where it listens and what it was asked."""

    url: str
    requests: list[dict[str, Any]]
    keys: list[str]


@contextlib.contextmanager
def serving(*replies: Reply) -> Iterator[Server]:
    """A server that gives these replies in turn, the last again and again."""
    asked: list[dict[str, Any]] = []
    keys: list[str] = []
    left = list(replies)
    lock = threading.Lock()
    done = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            with lock:
                asked.append(json.loads(body))
                keys.append(self.headers.get("authorization", ""))
                reply = left.pop(0) if len(left) > 1 else left[0]
            with contextlib.suppress(OSError):  # whoever asked may be gone
                self.send_response(reply.status)
                self.send_header("content-type", reply.kind)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                if reply.breaks_off:
                    self.send_header("content-length", str(sum(map(len, reply.pieces)) + 1000))
                self.end_headers()
                for piece in reply.pieces:
                    if reply.pause and done.wait(reply.pause):
                        return
                    self.wfile.write(piece)
                    self.wfile.flush()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield Server(f"http://127.0.0.1:{server.server_address[1]}/v1", asked, keys)
    finally:
        done.set()
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)
        time.sleep(0)
