"""The deadline, on bare ASGI: what it does is seen in the messages it sends."""

import asyncio
import contextlib
import json

import pytest
from prometheus_client import REGISTRY
from starlette.types import Message, Receive, Scope, Send

from app.core.exceptions import RequestTimeoutException
from app.core.middleware import StreamStalled, TimeoutMiddleware
from app.core.middleware.deadline import commit_window, current_deadline

TIMEOUT = 0.1
START: Message = {"type": "http.response.start", "status": 200, "headers": []}


def body(content: bytes, *, more: bool = False) -> Message:
    return {"type": "http.response.body", "body": content, "more_body": more}


class Server:
    """Runs a handler under the middleware, and keeps what it sent."""

    def __init__(self, handler, timeout: float = TIMEOUT, **scope: object) -> None:
        self.app = TimeoutMiddleware(handler, timeout=timeout)
        self.scope: Scope = {"type": "http", "method": "GET", "path": "/", **scope}
        self.sent: list[Message] = []
        self.send_delay = 0.0

    async def _send(self, message: Message) -> None:
        await asyncio.sleep(self.send_delay)
        self.sent.append(message)

    async def _receive(self) -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def run(self) -> "Server":
        await self.app(self.scope, self._receive, self._send)
        return self

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])

    @property
    def text(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent)


async def sleeps(scope: Scope, receive: Receive, send: Send) -> None:
    await asyncio.sleep(10)
    await send(START)


async def answers(scope: Scope, receive: Receive, send: Send) -> None:
    await send(START)
    await send(body(b"in time"))


def timeouts() -> float:
    return REGISTRY.get_sample_value("http_request_timeouts_total") or 0


async def test_an_answer_in_time_passes_untouched():
    server = await Server(answers).run()

    assert server.sent == [START, body(b"in time")]


async def test_a_handler_that_sleeps_is_answered_504_at_the_deadline():
    began = asyncio.get_running_loop().time()

    server = await Server(sleeps).run()

    assert server.status == 504
    assert (
        json.loads(server.text).items()
        >= {
            "error": "request_timeout",
            "message": "Request exceeded 0.1s timeout",
            "details": [],
        }.items()
    )
    assert asyncio.get_running_loop().time() - began < 5


async def test_the_504_is_sent_before_the_work_is_cancelled():
    order = []

    async def cleans_up(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await asyncio.sleep(10)
        finally:
            order.append(list(server.sent))

    server = Server(cleans_up)
    server.send_delay = 0.05
    await server.run()

    assert [message["type"] for message in order[0]] == [
        "http.response.start",
        "http.response.body",
    ]


async def test_the_work_is_cleaned_up_before_the_request_ends():
    cleaned = False

    async def cleans_up_slowly(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal cleaned
        try:
            await asyncio.sleep(10)
        finally:
            await asyncio.sleep(0.05)
            cleaned = True

    await Server(cleans_up_slowly).run()

    assert cleaned


async def test_a_handler_that_swallows_its_cancellation_sends_nothing_more():
    async def stubborn(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            await answers(scope, receive, send)

    server = await Server(stubborn).run()

    assert server.status == 504
    assert b"in time" not in server.text


@pytest.mark.parametrize("ending", [None, RuntimeError("cancelled by the deadline")])
async def test_no_cancellation_stays_with_the_task_that_served_the_request(ending):
    """A second request in it would be taken for one that others cancelled too."""

    async def swallows(scope: Scope, receive: Receive, send: Send) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(5)
        if ending is not None:
            raise ending

    for _ in range(2):
        assert (await Server(swallows, timeout=0.01).run()).status == 504
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_a_handler_that_fails_when_cancelled_has_been_answered_already():
    async def breaks(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            raise RuntimeError("the driver's own opinion") from None

    server = await Server(breaks).run()

    assert [message["type"] for message in server.sent] == [
        "http.response.start",
        "http.response.body",
    ]


async def test_a_handler_that_ends_while_the_504_is_on_its_way_does_not_disturb_it():
    async def just_too_late(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(TIMEOUT + 0.02)
        await answers(scope, receive, send)

    server = Server(just_too_late)
    server.send_delay = 0.05
    await server.run()

    assert server.status == 504
    assert len(server.sent) == 2


async def test_a_commit_after_the_504_is_refused():
    outcome = None

    async def commits_late(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal outcome
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            try:
                with commit_window():
                    outcome = "committed"
            except RequestTimeoutException:
                outcome = "refused"

    server = await Server(commits_late).run()

    assert server.status == 504
    assert outcome == "refused"


async def test_a_commit_in_progress_at_the_deadline_returns_its_result(monkeypatch):
    for module in ("middleware.deadline", "middleware.timeout"):
        monkeypatch.setattr(f"app.core.{module}.COMMIT_GRACE", 5.0)

    async def commits_across_the_deadline(scope: Scope, receive: Receive, send: Send) -> None:
        with commit_window():
            await asyncio.sleep(TIMEOUT * 1.5)
        await answers(scope, receive, send)

    server = await Server(commits_across_the_deadline).run()

    assert server.status == 200


async def test_a_commit_that_hangs_is_given_up():
    async def hangs_in_commit(scope: Scope, receive: Receive, send: Send) -> None:
        with commit_window():
            await asyncio.sleep(10)

    began = asyncio.get_running_loop().time()
    server = await Server(hangs_in_commit).run()

    assert server.status == 504
    assert asyncio.get_running_loop().time() - began < 5


async def test_a_stream_may_take_longer_than_the_deadline():
    async def streams(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        for _ in range(4):
            await asyncio.sleep(0.3)
            await send(body(b"part ", more=True))
        await send(body(b"end"))

    server = await Server(streams, timeout=1).run()

    assert server.text == b"part part part part end"


async def test_a_stream_that_stalls_is_cut_off_and_not_completed():
    async def stalls(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        await send(body(b"part", more=True))
        await asyncio.sleep(10)

    server = Server(stalls)

    with pytest.raises(StreamStalled):
        await server.run()
    assert server.sent == [START, body(b"part", more=True)]


async def test_background_work_after_the_answer_has_no_deadline():
    done = False

    async def works_on(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal done
        await answers(scope, receive, send)
        await asyncio.sleep(TIMEOUT * 2)
        done = True

    await Server(works_on).run()

    assert done


@pytest.mark.parametrize(("own", "status"), [(1.0, 200), (0.05, 504)])
async def test_a_route_may_have_a_deadline_of_its_own(own, status):
    async def reschedules(scope: Scope, receive: Receive, send: Send) -> None:
        deadline = current_deadline()
        assert deadline is not None
        deadline.reschedule(own)
        await asyncio.sleep(0.2)
        await answers(scope, receive, send)

    server = await Server(reschedules).run()

    assert server.status == status


async def test_a_timeout_is_counted():
    before = timeouts()

    await Server(sleeps).run()

    assert timeouts() == before + 1


async def test_a_cancellation_by_another_cause_is_not_swallowed():
    server = Server(sleeps, timeout=10)
    running = asyncio.create_task(server.run())
    await asyncio.sleep(0.01)

    running.cancel()

    with pytest.raises(asyncio.CancelledError):
        await running
    assert server.sent == []


async def test_an_error_before_the_deadline_is_passed_on():
    async def breaks(scope: Scope, receive: Receive, send: Send) -> None:
        raise RuntimeError("at once")

    with pytest.raises(RuntimeError, match="at once"):
        await Server(breaks).run()


async def test_no_deadline_outlives_its_request():
    await Server(answers).run()

    assert current_deadline() is None


async def test_other_protocols_than_http_are_passed_on():
    seen = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(TIMEOUT * 2)
        seen.append(current_deadline())

    await Server(app, type="lifespan").run()

    assert seen == [None]
