"""A notebook in JupyterLab in Chromium, for tests and benchmarks of widgets; needs the extra `test`."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat

from tools.notebooks import ROOT

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ["--no-sandbox", "--headless=new", "--disable-gpu", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--no-first-run"]  # fmt: skip
RUN = """async () => {
    // without a kernel that answers, running cells does nothing, silently
    const main = [...window.jupyterapp.shell.widgets('main')].find(w => w.context && w.sessionContext);
    window.jupyterapp.shell.activateById(main.id);
    await main.context.ready;
    await main.sessionContext.ready;
    await main.sessionContext.session.kernel.info;
    await window.jupyterapp.commands.execute('notebook:run-all-cells');
}"""
ASK = """async code => {
    const main = [...window.jupyterapp.shell.widgets('main')].find(w => w.context && w.sessionContext);
    const request = main.sessionContext.session.kernel.requestExecute({ code, store_history: false });
    let text = '';
    request.onIOPub = ({ content }) => text += content.text ?? content.evalue ?? '';
    await request.done;
    return text;
}"""


def chromium() -> str | None:
    """Where Chromium is on this machine, if it is."""
    return next(filter(None, map(shutil.which, NAMES)), None)


@contextmanager
def lab(folder: Path, cells: Sequence[str]) -> Iterator[str]:
    """The address of a JupyterLab that serves one notebook with these cells, in an empty folder."""
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell.strip()) for cell in cells])
    book.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    (folder / "work").mkdir()
    nbformat.write(book, folder / "work" / "tiny.ipynb")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    token = secrets.token_hex(16)
    own = {name: str(folder / name.lower()) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR",
           "JUPYTER_RUNTIME_DIR", "JUPYTERLAB_SETTINGS_DIR", "JUPYTERLAB_WORKSPACES_DIR")}  # fmt: skip
    command = [sys.executable, "-m", "jupyterlab", "--ip=127.0.0.1", f"--port={port}", "--no-browser",
               "--allow-root", "--expose-app-in-browser", "--ServerApp.port_retries=0",
               f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={folder / 'work'}"]  # fmt: skip
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    log = (folder / "lab.log").open("w")
    server = subprocess.Popen(
        command,
        env={**os.environ, **own, "PYTHONPATH": path, "JUPYTER_PREFER_ENV_PATH": "1"},
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        _wait_for(f"http://127.0.0.1:{port}/api?token={token}", server, folder / "lab.log")
        yield f"http://127.0.0.1:{port}/lab/tree/tiny.ipynb?token={token}"
    finally:
        os.killpg(server.pid, signal.SIGKILL)  # its kernels too
        server.wait()
        log.close()


def _wait_for(address: str, server: subprocess.Popen, log: Path) -> None:
    for _ in range(600):
        if server.poll() is not None:
            break
        try:
            urllib.request.urlopen(address, timeout=1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"JupyterLab did not answer: {log.read_text()}")


@contextmanager
def notebook(address: str, **options: Any) -> Iterator[Any]:
    """Playwright's page with the notebook at this address, its cells executed; options are the page's."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium(), args=FLAGS)
        try:
            page = browser.new_page(**{"viewport": {"width": 1200, "height": 900}, **options})
            page.goto(address)
            page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=60_000)
            page.set_default_timeout(30_000)
            page.evaluate(RUN)
            yield page
        finally:
            browser.close()


def ask(page: Any, code: str) -> str:
    """What this code prints in the notebook's kernel."""
    return page.evaluate(ASK, code).strip()
