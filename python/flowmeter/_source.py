# SPDX-License-Identifier: BSD-3-Clause
"""The captures of a run: paths, which the meter opens itself, and file objects, which a thread copies into pipes.

The meter opens the reading end of a pipe as /dev/fd/N, when the captures before it have been read. No byte is stored in
between except in the pipe, so memory does not depend on the length of a capture. The thread is a daemon: a file object that
blocks keeps neither a run nor Python from ending.
"""
import fcntl
import io
import os
import re
import select
import signal
import stat
import struct
import termios
import threading
import weakref
from collections.abc import Callable, Iterable
from typing import Any, Protocol, cast, runtime_checkable

from ._settings import Path

# Of a read and, if the kernel allows it, of a pipe. A busy loop over flows lets the thread run every 5 ms.
_CHUNK = 1 << 20


@runtime_checkable
class Readable(Protocol):
    """A binary file object."""

    def read(self, size: int, /) -> bytes | None: ...


@runtime_checkable
class Connected(Protocol):
    """A socket."""

    @property
    def makefile(self) -> Callable[..., Any]: ...


Capture = Path | bytes | Readable | Connected
Captures = Capture | Iterable[Capture]


def path_of(path: Path | bytes) -> bytes:
    """The path as the meter opens it. Raises Python's own OSError if there is no file, or it may not be read."""
    if isinstance(path, bytes) and b"\0" in path:
        raise ValueError("bytes are the path of a capture; its content is io.BytesIO(content)")
    if path not in ("-", b"-"):
        if stat.S_ISDIR(os.stat(path).st_mode):
            raise IsADirectoryError(21, "Is a directory", os.fsdecode(path))
        if not os.access(path, os.R_OK):
            raise PermissionError(13, "Permission denied", os.fsdecode(path))
    return os.fsencode(path)


def _opened(capture: Capture) -> Capture:
    """A socket as a file object."""
    return cast(Readable, capture.makefile("rb", buffering=0)) if isinstance(capture, Connected) else capture


def _name(capture: Capture) -> str:
    """Of a capture, in messages."""
    if isinstance(capture, (str, bytes, os.PathLike)):
        return os.fsdecode(capture)
    name = getattr(capture, "name", None)
    return name if isinstance(name, str) and name else f"<{type(capture).__name__}>"


def _wait(file: object, event: int, milliseconds: int | None = None) -> bool:
    """Waits until a file is ready, closed or broken. Returns whether it is."""
    poll = select.poll()  # select() knows only descriptors below 1024
    poll.register(cast(int, file), event)
    return bool(poll.poll(milliseconds))


def _returns_at_once(raw: object) -> bool:
    """Whether a read of it returns None while its descriptor is not blocking and has no data."""
    if type(raw) is io.FileIO:
        return True
    import socket  # it is loaded if raw is one of its objects
    return (isinstance(raw, socket.SocketIO) and type(below := getattr(raw, "_sock", None)) is socket.socket
            and below.gettimeout() is None)


def _take_buffered(file: io.BufferedReader) -> bytes:
    """What the file object has read ahead. Does not wait if that can be avoided."""
    fd = file.fileno()
    if _wait(fd, select.POLLIN, 0) or not os.get_blocking(fd) or not _returns_at_once(file.raw):
        return file.read1(_CHUNK)
    os.set_blocking(fd, False)
    try:
        return file.read1(_CHUNK)
    finally:
        os.set_blocking(fd, True)


class NotBinary(TypeError):
    """A file object that gives text."""
    __module__ = "flowmeter"


class _Feed:
    """A file object and its pipe."""

    def __init__(self, file: Readable) -> None:
        self.name = _name(cast(Capture, file))
        if isinstance(file, io.TextIOBase):
            raise self._is_text()
        self.error: BaseException | None = None
        self.stopped = False
        self._file = file
        self._written = 0
        self._lock = threading.Lock()
        self._reading, self._writing = os.pipe()
        self.path = f"/dev/fd/{self._reading}"
        os.set_blocking(self._writing, False)

    def _is_text(self) -> "NotBinary":
        return NotBinary(f"{self.name} gives text: open it in binary mode (\"rb\")")

    def copy(self) -> None:
        """Copies the file into the pipe. The end of it is the end of the capture, also after an error."""
        try:
            self._copy()
        except BrokenPipeError:
            pass  # the meter needs no more of this capture
        except BaseException as error:  # of any kind, because the file object is the caller's
            if not self.stopped:
                self.error = error
        finally:
            self.close_writing()

    def _copy(self) -> None:
        if self.stopped:
            return
        try:
            fcntl.fcntl(self._writing, fcntl.F_SETPIPE_SZ, _CHUNK)
        except OSError:
            pass  # it works with any size
        file: Readable = self._file
        if type(file) is io.BufferedReader and not file.seekable():
            # A read that waits would hold the lock of the file object, and its close() would wait for that.
            self._write(_take_buffered(file))
            file = cast(Readable, file.raw)
        read: Callable[[int], bytes | None] = getattr(file, "read1", file.read)
        while (data := read(_CHUNK)) or data is None:
            if data is None:
                _wait(file, select.POLLIN)  # it does not block
            elif isinstance(data, str):
                raise self._is_text()
            else:
                self._write(data)
            if self.stopped:
                return
        if isinstance(data, str):
            raise self._is_text()

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            try:
                written = os.write(self._writing, rest)
            except BlockingIOError:
                # The pipe is full. If the meter has taken anything, it has opened the pipe. From then on its end must be the
                # only one, so that the pipe breaks when it needs no more of this capture.
                if self._written > self._unread():
                    self.close_reading()
                _wait(self._writing, select.POLLOUT)
            else:
                self._written += written
                rest = rest[written:]

    def _unread(self) -> int:
        return cast(int, struct.unpack("i", fcntl.ioctl(self._writing, termios.FIONREAD, b"\0" * 4))[0])

    def renew_lock(self) -> None:
        self._lock = threading.Lock()

    def close_reading(self) -> None:
        with self._lock:
            fd, self._reading = self._reading, -1
        if fd >= 0:
            os.close(fd)

    def close_writing(self) -> None:
        """Only where the thread does not write."""
        with self._lock:
            fd, self._writing = self._writing, -1
        if fd >= 0:
            os.close(fd)


def _copy_all(feeds: list[_Feed]) -> None:
    # A pipe that breaks is an error of write(2), even if the program wants to be ended by this signal.
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGPIPE])
    for feed in feeds:
        feed.copy()


_sources: "weakref.WeakSet[Source]" = weakref.WeakSet()


class Source:
    """The captures of one run, in their order."""

    def __init__(self, captures: Captures) -> None:
        one = isinstance(captures, (str, bytes, os.PathLike, Readable)) or not isinstance(captures, Iterable)
        given = [_opened(capture) for capture in cast("Iterable[Capture]", [captures] if one else captures)]
        if not given:
            raise ValueError("no capture was named")
        self.names = [_name(capture) for capture in given]
        self.paths: list[str | bytes] = []
        """For the option "file"."""
        self.total_bytes: int | None = 0
        """Of all captures; None if a size is not known."""
        self._feeds: list[_Feed] = []
        try:
            for capture in given:
                if isinstance(capture, (str, bytes, os.PathLike)):
                    self.paths.append(path_of(capture))
                    self._add_size(capture)
                elif isinstance(capture, Readable):
                    self._feeds.append(_Feed(capture))
                    self.total_bytes = None
                    self.paths.append(self._feeds[-1].path)
                else:
                    raise TypeError(f"a capture is a path or a binary file object, not a {type(capture).__name__}")
        except BaseException:
            self.close(started=False)
            raise
        if self._feeds:
            _sources.add(self)

    def _add_size(self, path: Path | bytes) -> None:
        known = self.total_bytes is not None and os.path.isfile(path)
        self.total_bytes = (self.total_bytes or 0) + os.path.getsize(path) if known else None

    @staticmethod
    def none() -> "Source":
        """Of a run that reads no captures."""
        source = Source.__new__(Source)
        source.names, source.paths, source.total_bytes, source._feeds = [], [], None, []
        return source

    def start(self, meter: object) -> None:
        """Begins to copy the file objects, for the run of this meter."""
        if not self._feeds:
            return
        threading.Thread(target=_copy_all, args=(self._feeds,), name="flowmeter captures", daemon=True).start()
        # The meter's thread opens the pipes by their numbers, so these must stay theirs until it has ended.
        weakref.finalize(meter, self.close).atexit = False

    def stop(self) -> None:
        """Errors of the file objects do not matter from now on."""
        for feed in self._feeds:
            feed.stopped = True

    def close(self, started: bool = True) -> None:
        """Requires: the run has ended. A file object that is being read is not read again."""
        self.stop()
        for feed in self._feeds:
            feed.close_reading()
            if not started:
                feed.close_writing()

    def close_in_fork(self) -> None:
        for feed in self._feeds:
            feed.renew_lock()  # the thread, which is not here, may have held it
        self.close(started=False)

    def named(self, text: str) -> str:
        """The text with the names of the file objects instead of those of their pipes."""
        names = {feed.path: feed.name for feed in self._feeds}
        return re.sub(r"/dev/fd/\d+", lambda found: names.get(found[0], found[0]), text) if names else text

    def failure(self, kind: type[Exception]) -> BaseException | None:
        """The error of the first file object that could not be read to its end, as an exception of this kind."""
        for feed in self._feeds:
            if isinstance(feed.error, NotBinary):
                return feed.error
            if feed.error:
                failure = kind(f"cannot read {feed.name}: {str(feed.error) or type(feed.error).__name__}")
                failure.__cause__ = feed.error
                return failure
        return None

    def explains(self, warning: str) -> bool:
        """Whether the warning is about a capture whose file object has failed."""
        return any(feed.error and warning.startswith(feed.path + ": ") for feed in self._feeds)


def _forget_all() -> None:
    """A forked child does not have the threads. The pipes would stay open as long as the child lives."""
    for source in _sources:
        source.close_in_fork()
    _sources.clear()


os.register_at_fork(after_in_child=_forget_all)
