"""How a command of course.py ends: signals reach its processes, and a sentence says what went wrong."""

import contextlib
import errno
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from types import FrameType
from typing import Any

from facecomp_lib.utils.processes import end_with_parent
from tools.notebooks import Trouble

CALLER = "FACECOMP_CALLER"  # where course.py was called; it starts its tools in the repository
FULL = ("ENOSPC", "EDQUOT")
SIGNALS = (signal.SIGINT, signal.SIGTERM)
AT_ONCE = 1.0  # seconds between two signals that mean one wish: a terminal and course.py may send one each


class Stopped(KeyboardInterrupt):
    """Somebody wants this command to end; `number` is the signal's."""

    last = -AT_ONCE  # when that was

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


def run_command(
    name: str,
    main: Callable[[list[str]], int],
    again: str = "the same command goes on from there",
    where_called: bool = False,
) -> int:
    """Run a command's main function on the command line's arguments; return the exit code.

    Ctrl-C, SIGTERM and SIGHUP end the worker processes and then the command.

    Args:
        name: of the command, for messages.
        again: what a stopped command does when it is called again.
        where_called: relative paths count from where course.py was called, not from the repository.
    """
    _handle_signals()
    if where_called:
        with contextlib.suppress(KeyError, OSError):
            os.chdir(os.environ[CALLER])
    try:
        return main(sys.argv[1:])
    except Trouble as trouble:
        sentence, code = str(trouble), 1
    except KeyboardInterrupt as stop:
        sentence, code = f"stopped; {again}.", 128 + getattr(stop, "number", signal.SIGINT)
    except BrokenPipeError:  # whoever read our output has gone, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 141
    except OSError as error:
        sentence, code = explain(error), 1
    print(f"course.py {name}: {sentence}", file=sys.stderr)
    return code


def explain(error: OSError) -> str:
    """What to do about a disk that is full or a file that cannot be written, in a sentence."""
    if errno.errorcode.get(error.errno or 0) in FULL:
        return "the disk is full: free some space, then call the same command again."
    if isinstance(error, (FileExistsError, NotADirectoryError)) and error.filename:
        place = Path(error.filename)
        file = next(filter(Path.is_file, [place, *place.parents]), place)
        return f"{file} is a file and not a folder: move it away, then call the same command again."
    return str(error)


class Deferred:
    """Within the block SIGINT and SIGTERM only call a function; at its end the signal is sent again.

    A signal that is ignored (as nohup wants it) stays ignored. Outside the main thread nothing is deferred.

    Args:
        on_signal: what to call.
    """

    def __init__(self, on_signal: Callable[[], Any] = lambda: None) -> None:
        self.caught: int | None = None
        self._on_signal = on_signal
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "Deferred":
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if self.caught is not None:
            signal.raise_signal(self.caught)

    def _note(self, number: int, _: FrameType | None) -> None:
        self.caught = number
        self._on_signal()


@contextlib.contextmanager
def workers(jobs: int, initializer: Callable[..., None], *arguments: Any) -> Iterator[ProcessPoolExecutor]:
    """A pool of processes that end with this one. If the block fails, what waits is given up.

    Work that was begun is waited for: when this command is stopped, its workers are, too.
    """
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, context, _start_worker, (initializer, *arguments)) as pool:
        try:
            yield pool
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _start_worker(initializer: Callable[..., None], *arguments: Any) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the main process gets it, too, and sends SIGTERM
    signal.signal(signal.SIGTERM, _end_orphan)
    end_with_parent()
    initializer(*arguments)


def _end_orphan(*_: object) -> None:
    """An idle worker leaves its end to its pool, unless there is none any more."""
    parent = multiprocessing.parent_process()
    if parent is None or not parent.is_alive():
        os._exit(128 + signal.SIGTERM)


def _handle_signals() -> None:
    for number in SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _stop)
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # not under nohup
        signal.signal(signal.SIGHUP, lambda *_: signal.raise_signal(signal.SIGTERM))


def _stop(number: int, _: FrameType | None) -> None:
    again = time.monotonic() - Stopped.last < AT_ONCE
    Stopped.last = time.monotonic()
    if again:
        return
    for child in multiprocessing.active_children():
        child.terminate()
    raise Stopped(number)
