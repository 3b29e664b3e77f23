"""Worker processes that do not outlive the process that started them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading

__all__ = ["end_with_parent"]


def end_with_parent() -> None:
    """Make this worker end when its parent process ends, even if that was killed.

    The worker is sent SIGTERM, so that a training in it saves first. Give it to a pool as ``initializer``, or
    call it in one. In a process that no pool started it does nothing.
    """
    threading.Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
