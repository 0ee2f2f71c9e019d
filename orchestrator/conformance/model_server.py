"""A scripted model on 127.0.0.1: Anthropic Messages, OpenAI Responses and Chat Completions, Gemini.

Each conversation's next step is found in what the client sends, so any number of agents share one server.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import ModuleType, TracebackType
from typing import Any, Self

from orchestrator.conformance import anthropic_api, chat_api, gemini_api, openai_api
from orchestrator.conformance.exchange import Answer, ModelReply, ModelRequest, Refused, reply_to
from orchestrator.conformance.flatten import example_of
from orchestrator.conformance.model_http import Listener
from orchestrator.conformance.script import Script, Step, step_at

#: How a path ends, and who speaks that API.
_APIS: Mapping[str, ModuleType] = {
    "/messages": anthropic_api,
    "/responses": openai_api,
    "/chat/completions": chat_api,
    ":generateContent": gemini_api,
    ":streamGenerateContent": gemini_api,
}
_ASIDE_TOKENS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One request to the model, as the server remembers it: never its headers, which hold keys."""

    at: float  #: monotonic
    path: str
    request: ModelRequest
    body: Mapping[str, Any]
    script: str | None  #: None: a conversation without a script
    step: int
    aside: bool  #: no turn of the script: a client's own question, such as for a title, or waiting


class ModelServer:
    """Serves scripts while it is open: `with ModelServer(scripts) as server: server.url`."""

    def __init__(self, scripts: Mapping[str, Script] | None = None) -> None:
        self.scripts: dict[str, Script] = dict(scripts or {})
        self._seen: list[Seen] = []
        self._failures: Counter[tuple[str | None, int]] = Counter()
        self._news = threading.Condition()
        self._closing = threading.Event()

    def __enter__(self) -> Self:
        self._http = Listener(self)
        self._thread = threading.Thread(
            target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, name="model-server"
        )
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self._http.shutdown()
        self._thread.join()
        self._http.hang_up()
        self._http.server_close()

    @property
    def url(self) -> str:
        """Where it listens, without a path."""
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    @property
    def requests(self) -> list[Seen]:
        """All requests to the model so far, in the order in which they came."""
        with self._news:
            return list(self._seen)

    def requests_of(self, script: str) -> list[Seen]:
        """Those of one script's conversations, without the clients' own questions."""
        return [seen for seen in self.requests if seen.script == script and not seen.aside]

    def wait_for(self, condition: Callable[[list[Seen]], bool], timeout_s: float = 30.0) -> bool:
        """Wait until the requests so far fulfil `condition`; return whether they did in time."""
        with self._news:
            return self._news.wait_for(lambda: condition(list(self._seen)), timeout_s)

    def pause(self, seconds: float | None) -> bool:
        """Wait (None: until the server closes); return whether the server is closing."""
        return self._closing.wait(seconds)

    def answer(self, path: str, body: Mapping[str, Any]) -> Answer | None:
        """What the model answers; None for a path that no API has."""
        api = next((api for end, api in _APIS.items() if path.endswith(end)), None)
        if api is None:
            return None
        request: ModelRequest = api.read(path, body)
        mark, number = request.mark(), request.step_number()
        step = step_at(self.scripts, mark, number)
        waiting = request.unfinished()
        aside = request.is_aside() or (step.acts() and not request.tools)
        seen = Seen(
            at=time.monotonic(),
            path=path,
            request=request,
            body=body,
            script=mark,
            step=number,
            aside=aside or waiting is not None,
        )
        refused = None if seen.aside else self._refused(api, step, (mark, number))
        self._remember(seen)
        return _answer(api, request, _aside(request) if aside else waiting or step, refused)

    def _refused(self, api: ModuleType, step: Step, place: tuple[str | None, int]) -> Refused | None:
        if step.stop == "context":
            refusal: Refused = api.too_long()
            return refusal
        if step.failure is None:
            return None
        with self._news:
            self._failures[place] += 1
            spent = self._failures[place] > step.failure.times
        return None if spent else api.refused(step.failure)

    def _remember(self, seen: Seen) -> None:
        with self._news:
            self._seen.append(seen)
            self._news.notify_all()


def _aside(request: ModelRequest) -> Step:
    """A short answer to a client's own question, in the form that it wants."""
    say = "Scripted session" if request.schema is None else json.dumps(example_of(request.schema))
    return Step(say=say, input_tokens=_ASIDE_TOKENS, output_tokens=_ASIDE_TOKENS)


def _answer(api: ModuleType, request: ModelRequest, step: Step, refused: Refused | None) -> Answer:
    reply: ModelReply = reply_to(request, step)
    named = api in {anthropic_api, openai_api}
    if step.stop == "context" and api is openai_api and request.stream:
        events = [openai_api.too_long_event(request)]
        return Answer(step=step, whole={}, events=events, named=named)
    streamed = list(api.events(request, reply)) if request.stream else []
    whole = {} if request.stream else api.whole(request, reply)
    return Answer(step=step, whole=whole, events=streamed, named=named, refused=refused)
