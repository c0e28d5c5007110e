"""The undocumented parts of uvicorn, httptools and uvloop that the server relies on.

When one of these tests fails after an upgrade, read the comments in webhook/server/http_protocol.py and https_server.py
that begin with the library's name, and compare the source of the new version with them.
"""

from __future__ import annotations

import asyncio
import inspect
import signal
from typing import Any

import pytest
import uvicorn
import uvloop
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import Server

from webhook.server.http_protocol import HttpProtocol

from .in_memory import MESSAGES, Transport, connect, let_tasks_run, look_at, recording, respond, run, wait_for_the_body

GET = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
HEAD_OF_POST = b"POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n"

OVERRIDDEN = {
    "connection_made": ["transport"],
    "connection_lost": ["exc"],
    "pause_writing": [],
    "resume_writing": [],
    "data_received": ["data"],
    "on_message_begin": [],
    "on_headers_complete": [],
    "on_body": ["body"],
    "on_response_complete": [],
    "send_400_response": ["msg"],
    "shutdown": [],
}
CALLED: dict[type, dict[str, list[str]]] = {
    HttpToolsProtocol: {"_unset_keepalive_if_required": []},
    FlowControl: {"drain": []},
    Server: {"handle_exit": ["sig", "frame"], "on_tick": ["counter"], "serve": ["sockets"]},
}
READ = {
    "protocol": ("cycle", "flow", "headers", "logger", "loop", "pipeline", "scope", "timeout_keep_alive", "transport"),
    "cycle": (
        "body",
        "disconnected",
        "flow",
        "keep_alive",
        "message_event",
        "more_body",
        "on_response",
        "response_complete",
        "response_started",
        "transport",
    ),
    "flow": ("write_paused",),
    "server": ("should_exit", "force_exit", "server_state"),
    "server_state": ("connections",),
}

METHODS = [
    *((HttpToolsProtocol, name, parameters) for name, parameters in OVERRIDDEN.items()),
    *((owner, name, parameters) for owner, methods in CALLED.items() for name, parameters in methods.items()),
]


@pytest.mark.parametrize(("owner", "name", "parameters"), METHODS, ids=lambda value: getattr(value, "__name__", None))
def test_a_method_has_the_parameters_that_the_server_relies_on(owner: type, name: str, parameters: list[str]) -> None:
    method = getattr(owner, name, None)
    assert method is not None, look_at(f"{owner.__name__}.{name}")
    assert list(inspect.signature(method).parameters) == ["self", *parameters], look_at(f"{owner.__name__}.{name}")


@pytest.mark.parametrize("name", sorted(READ))
def test_an_object_has_the_attributes_that_the_server_relies_on(name: str) -> None:
    async def scenario() -> None:
        protocol, _ = connect(wait_for_the_body)
        protocol.data_received(HEAD_OF_POST)
        server = Server(protocol.config)
        objects = {
            "protocol": protocol,
            "cycle": protocol.cycle,
            "flow": protocol.flow,
            "server": server,
            "server_state": server.server_state,
        }
        for attribute in READ[name]:
            assert hasattr(objects[name], attribute), look_at(f"{name}.{attribute}")

    run(scenario)


def test_no_attribute_that_the_server_adds_exists_in_uvicorn() -> None:
    async def scenario() -> None:
        protocol, _ = connect()
        own = {*vars(HttpProtocol), *HttpProtocol.__annotations__} - set(OVERRIDDEN)
        own = {name for name in own if not name.startswith("__")}
        assert own >= {"_timer", "shed"}
        assert not own & {*vars(protocol), *dir(HttpToolsProtocol)}, look_at("the set of names of HttpToolsProtocol")

    run(scenario)


def test_a_subclass_is_called_for_each_part_of_a_request_and_at_the_end_of_its_response() -> None:
    async def scenario() -> None:
        calls: list[str] = []
        protocol, transport = connect(kind=recording(calls, OVERRIDDEN))
        protocol.data_received(HEAD_OF_POST)
        protocol.data_received(b"body")
        await let_tasks_run()
        wanted = ["connection_made", "data_received", "on_message_begin", "on_headers_complete", "data_received"]
        assert calls == [*wanted, "on_body", "on_response_complete"], look_at("the order of calls for a request")
        assert transport.written.endswith(b"ok")

    run(scenario)


def test_the_application_starts_only_after_the_headers_are_processed() -> None:
    async def scenario() -> None:
        protocol, transport = connect()
        protocol.data_received(GET)
        assert not transport.written, look_at("that a request's task starts later, so that its scope can be extended")
        assert protocol.cycle.scope is protocol.scope, look_at("that `scope` is the one of the latest cycle")

    run(scenario)


def test_an_exception_in_a_parser_callback_becomes_a_400() -> None:
    class Failing(HttpToolsProtocol):
        def on_headers_complete(self) -> None:
            raise ValueError

    async def scenario() -> None:
        protocol, transport = connect(kind=Failing)
        protocol.data_received(GET)
        assert transport.written.startswith(b"HTTP/1.1 400"), look_at("the 400 for an exception in on_headers_complete")

    run(scenario)


def test_a_disconnected_cycle_ends_the_wait_for_a_body() -> None:
    async def scenario() -> None:
        protocol, transport = connect(wait_for_the_body)
        protocol.data_received(HEAD_OF_POST)
        await let_tasks_run()
        protocol.cycle.disconnected = True
        protocol.cycle.message_event.set()
        await let_tasks_run()
        (message,) = MESSAGES
        assert message == {"type": "http.disconnect"}, look_at("`receive` after `disconnected` and `message_event`")
        assert not transport.written, look_at("that uvicorn sends nothing for a disconnected cycle")

    run(scenario)


def test_a_response_that_bypasses_uvicorn_counts_as_complete() -> None:
    async def write(scope: Any, receive: Any, send: Any) -> None:
        cycle = protocols[0].cycle
        cycle.transport.write(b"written")
        cycle.response_started = cycle.response_complete = True
        cycle.message_event.set()
        cycle.on_response()

    protocols: list[HttpToolsProtocol] = []

    async def scenario() -> None:
        calls: list[str] = []
        protocol, transport = connect(write, kind=recording(calls, OVERRIDDEN))
        protocols.append(protocol)
        protocol.data_received(GET)
        await let_tasks_run()
        assert transport.written == b"written", look_at("what a cycle sends by itself once `response_complete` is set")
        assert not transport.closing, look_at("when a cycle closes the connection")
        assert calls[-1] == "on_response_complete", look_at("`on_response` of a cycle")

    run(scenario)


def test_a_cycle_without_keep_alive_sends_connection_close_and_closes() -> None:
    async def scenario() -> None:
        protocol, transport = connect()
        protocol.data_received(GET)
        protocol.cycle.keep_alive = False
        await let_tasks_run()
        assert b"connection: close" in transport.written, look_at("`keep_alive` of a cycle")
        assert transport.closing, look_at("`keep_alive` of a cycle")

    run(scenario)


def test_the_idle_timer_runs_between_a_response_and_the_next_data() -> None:
    async def scenario() -> None:
        protocol, _ = connect()
        assert protocol.timeout_keep_alive_task is None, look_at("that no idle timer runs before the first request")
        protocol.data_received(GET)
        await let_tasks_run()
        timer = protocol.timeout_keep_alive_task
        assert timer, look_at("the idle timer after a response")
        protocol.data_received(b"\r\n")
        assert timer.cancelled(), look_at("that received data stops the idle timer")
        protocol.data_received(GET)
        await let_tasks_run()
        timer = protocol.timeout_keep_alive_task
        protocol._unset_keepalive_if_required()
        assert timer is not None
        assert timer.cancelled(), look_at("_unset_keepalive_if_required")

    run(scenario)


def test_pipelined_requests_wait_as_pairs_of_cycle_and_application() -> None:
    async def scenario() -> None:
        protocol, transport = connect()
        protocol.data_received(GET + GET)
        ((cycle, application),) = protocol.pipeline
        assert isinstance(cycle, RequestResponseCycle), look_at("`pipeline`")
        assert callable(application), look_at("`pipeline`")
        await let_tasks_run()
        assert transport.written.count(b"200 OK") == 2, look_at("that a response starts the next pipelined request")

    run(scenario)


def test_a_body_is_collected_in_the_cycle_and_completes_it() -> None:
    async def scenario() -> None:
        protocol, _ = connect()
        protocol.data_received(HEAD_OF_POST + b"bo")
        assert bytes(protocol.cycle.body) == b"bo", look_at("`body` of a cycle")
        assert protocol.cycle.more_body is True, look_at("`more_body` of a cycle")
        protocol.data_received(b"dy")
        assert protocol.cycle.more_body is False, look_at("`more_body` of a cycle")

    run(scenario)


def test_the_flow_control_records_that_writing_is_paused() -> None:
    async def scenario() -> None:
        protocol, _ = connect()
        protocol.pause_writing()
        assert protocol.flow.write_paused is True, look_at("`flow.write_paused`")
        draining = asyncio.create_task(protocol.flow.drain())
        await let_tasks_run()
        assert not draining.done(), look_at("`flow.drain`")
        protocol.resume_writing()
        await draining
        assert protocol.flow.write_paused is False, look_at("`flow.write_paused`")

    run(scenario)


class FakeAsyncioServer:
    """A fake of the server that an event loop creates."""

    def __init__(self) -> None:
        self.sockets = (self,)
        self.calls: list[str] = []

    def getsockname(self) -> tuple[str, int]:
        return "127.0.0.1", 1

    def close(self) -> None:
        self.calls.append("close")

    async def wait_closed(self) -> None:
        self.calls.append("wait_closed")


class RecordingLoop(uvloop.Loop):
    """Records the arguments with which uvicorn creates its server."""

    def __init__(self) -> None:
        super().__init__()
        self.listening = FakeAsyncioServer()
        self.arguments: tuple[Any, ...] = ()
        self.options: dict[str, Any] = {}

    async def create_server(self, *arguments: Any, **options: Any) -> Any:
        self.arguments, self.options = arguments, options
        return self.listening


def test_a_server_listens_shuts_down_its_connections_and_stops_as_expected() -> None:
    calls: list[str] = []

    class Stopping(Server):
        def handle_exit(self, sig: int, frame: Any) -> None:
            calls.append("handle_exit")
            self.should_exit = True

        async def on_tick(self, counter: int) -> bool:
            if not calls:
                (create,) = loop.arguments
                create().connection_made(Transport())
                signal.raise_signal(signal.SIGTERM)
            return await super().on_tick(counter)

    class Closing(HttpToolsProtocol):
        def shutdown(self) -> None:
            calls.append("shutdown")
            self.connections.clear()

    config = uvicorn.Config(respond, lifespan="off", log_config=None, interface="asgi3", http=Closing, port=0)
    with asyncio.Runner(loop_factory=RecordingLoop) as runner:
        loop: Any = runner.get_loop()
        # If uvicorn raised the signal again, that would end this process.
        runner.run(Stopping(config).serve())
    assert len(loop.arguments) == 1, look_at("what uvicorn passes to create_server", "https_server.py")
    options = {"host", "port", "ssl", "backlog"}
    assert set(loop.options) == options, look_at("what uvicorn passes to create_server", "https_server.py")
    assert calls == ["handle_exit", "shutdown"], look_at("how a server stops", "https_server.py")
    assert loop.listening.calls == ["close", "wait_closed"], look_at("how a server stops listening", "https_server.py")
