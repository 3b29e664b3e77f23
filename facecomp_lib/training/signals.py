"""Let a step end before Ctrl-C, a notebook's stop button or a scheduler's SIGTERM does its work."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

__all__ = ["GracefulShutdown"]


class GracefulShutdown:
    """Within the block SIGINT and SIGTERM only set :attr:`caught`; at its end the signal is sent again.

    A second Ctrl-C interrupts at once. Outside the main thread, where Python allows no handlers, nothing is
    deferred; a signal that the program ignores stays ignored.
    """

    def __init__(self) -> None:
        self.caught: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> GracefulShutdown:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if self.caught is not None and kind is None:
            signal.raise_signal(self.caught)

    def _note(self, number: int, _: FrameType | None) -> None:
        if self.caught is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.caught = number
