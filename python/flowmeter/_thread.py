# SPDX-License-Identifier: BSD-3-Clause
"""Waiting for a run inside an event loop."""
import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import TypeVar

_Result = TypeVar("_Result")


async def in_thread(call: Callable[[], _Result]) -> _Result:
    """Calls a function in a thread of its own, so that the loop goes on.

    If the caller is cancelled, the call goes on, and its result is lost. The thread is a daemon, unlike those of
    asyncio.to_thread(): the end of the loop would wait for them.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[_Result] = loop.create_future()

    def finish(result: _Result | None, error: BaseException | None) -> None:
        if future.cancelled():
            return
        if error:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]

    def run() -> None:
        result, failure = None, None
        try:
            result = call()
        except BaseException as error:  # of any kind: it is raised where the caller waits
            failure = error
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(finish, result, failure)

    threading.Thread(target=run, name="flowmeter", daemon=True).start()
    return await future
