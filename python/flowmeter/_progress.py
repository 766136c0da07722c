# SPDX-License-Identifier: BSD-3-Clause
"""A progress bar of a run, by tqdm if it is installed."""
import threading
import warnings
import weakref
from typing import Any

from . import _native

_SECONDS = 0.2


class Progress:
    """The bytes of the captures that were read, of a live run the flows; updated by a thread while the run lasts."""

    def __init__(self, meter: _native.Meter, inputs: str, total_bytes: int | None, live: bool) -> None:
        self._thread: threading.Thread | None = None
        self._ended = threading.Event()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # in a notebook without ipywidgets, tqdm suggests to install them
                from tqdm.auto import tqdm
        except ModuleNotFoundError:
            return
        bar = tqdm(desc=inputs, total=total_bytes, unit="B", unit_scale=True) if not live else tqdm(desc=inputs, unit=" flows")
        self._thread = threading.Thread(target=_update, args=(weakref.ref(meter), bar, live, self._ended),
                                        name="flowmeter progress", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Shows the last numbers."""
        self._ended.set()
        if self._thread and self._thread is not threading.current_thread():
            self._thread.join(5)


def _update(watched: "weakref.ref[_native.Meter]", bar: Any, live: bool, ended: threading.Event) -> None:
    last = False
    while not last:
        last = ended.wait(_SECONDS)
        if not (meter := watched()):
            break
        packets, size, over = meter.progress()
        flows = meter.rows_taken
        del meter  # else this thread would keep the run
        last = last or over
        if live:
            bar.update(flows - bar.n)
        else:
            bar.set_postfix(packets=packets, flows=flows, refresh=False)
            bar.update(size - bar.n)
    bar.close()
