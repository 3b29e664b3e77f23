"""Let a step end before Ctrl-C, a notebook's stop button or a scheduler's SIGTERM does its work."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from types import FrameType, TracebackType
from typing import Any

__all__ = ["GracefulShutdown"]

_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


class GracefulShutdown:
    """Within the block SIGINT, SIGTERM and SIGHUP only set :attr:`caught`; at its end it is sent again.

    A second Ctrl-C interrupts at once. Outside the main thread, where Python allows no handlers, nothing is
    deferred; a signal that the program ignores stays ignored.

    Attributes:
        caught: number of the signal.
        sentence: what the program says when the signal ends it.
    """

    def __init__(self) -> None:
        self.caught: int | None = None
        self.sentence = ""
        self._before: dict[int, Any] = {}

    def __enter__(self) -> GracefulShutdown:
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if self.caught is None or kind is not None:
            return
        handler = signal.getsignal(self.caught)
        if handler is signal.default_int_handler:
            stopped = KeyboardInterrupt(self.sentence)
            _show_sentence_of(stopped)
            raise stopped
        if handler is signal.SIG_DFL:
            _say(self.sentence)
        signal.raise_signal(self.caught)

    def _note(self, number: int, _: FrameType | None) -> None:
        if self.caught is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.caught = number


def _show_sentence_of(stopped: KeyboardInterrupt) -> None:
    """Let a program that this exception ends print its sentence, without a traceback."""
    before = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if error is stopped:
            _say(str(error))
        else:
            before(kind, error, trace)

    sys.excepthook = hook


def _say(sentence: str) -> None:
    with contextlib.suppress(OSError):  # the terminal may be gone
        print(f"\n{sentence}", file=sys.stderr, flush=True)
