"""The widgets in a real browser: JupyterLab, Chromium, a moved slider, a changed picture."""

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
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[1]
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = ["--no-sandbox", "--headless=new", "--disable-gpu", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--no-first-run"]  # fmt: skip
CELL = """
import torch
from facecomp_lib.show import FrameSlider
FrameSlider(lambda red, blue: torch.tensor([red, 0.4, blue]).view(3, 1, 1).expand(3, 8, 8),
            start={"red": 0.0, "blue": 0.0}, red=[0.0, 0.2, 1.0], blue=[0.0, 1.0])
"""
RUN = """async () => {
    // without a kernel that answers, running cells does nothing, silently
    const main = [...window.jupyterapp.shell.widgets('main')].find(w => w.context && w.sessionContext);
    window.jupyterapp.shell.activateById(main.id);
    await main.context.ready;
    await main.sessionContext.ready;
    await main.sessionContext.session.kernel.info;
    await window.jupyterapp.commands.execute('notebook:run-all-cells');
}"""
SHOWS = """wanted => {
    const image = document.querySelector('.facecomp-panel img'), canvas = document.createElement('canvas');
    if (!image?.complete || !image.naturalWidth) return false;
    canvas.width = image.naturalWidth; canvas.height = image.naturalHeight;
    const context = canvas.getContext('2d');
    context.drawImage(image, 0, 0);
    const middle = context.getImageData(canvas.width / 2, canvas.height / 2, 1, 1).data;
    return [...middle].slice(0, 3).join() === wanted;
}"""

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[str]:
    """The address of a JupyterLab that serves one tiny notebook."""
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL.strip())])
    book.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    (tmp_path / "work").mkdir()
    nbformat.write(book, tmp_path / "work" / "tiny.ipynb")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    token = secrets.token_hex(16)
    own = {name: str(tmp_path / name.lower()) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR",
           "JUPYTER_RUNTIME_DIR", "JUPYTERLAB_SETTINGS_DIR", "JUPYTERLAB_WORKSPACES_DIR")}  # fmt: skip
    command = [sys.executable, "-m", "jupyterlab", "--ip=127.0.0.1", f"--port={port}", "--no-browser",
               "--allow-root", "--expose-app-in-browser", "--ServerApp.port_retries=0",
               f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={tmp_path / 'work'}"]  # fmt: skip
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    log = (tmp_path / "lab.log").open("w")
    server = subprocess.Popen(
        command,
        env={**os.environ, **own, "PYTHONPATH": path, "JUPYTER_PREFER_ENV_PATH": "1"},
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        _wait_for(f"http://127.0.0.1:{port}/api?token={token}", server, tmp_path / "lab.log")
        yield f"http://127.0.0.1:{port}/lab/tree/tiny.ipynb?token={token}"
    finally:
        os.killpg(server.pid, signal.SIGKILL)  # its kernels too
        server.wait()
        log.close()


def _wait_for(address: str, server: subprocess.Popen, log: Path) -> None:
    for _ in range(200):
        assert server.poll() is None, log.read_text()
        try:
            urllib.request.urlopen(address, timeout=1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"JupyterLab did not answer: {log.read_text()}")


def test_a_moved_slider_changes_the_picture(lab: str) -> None:
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1200, "height": 900})
        page.goto(lab)
        page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=30_000)
        page.set_default_timeout(10_000)
        page.evaluate(RUN)
        page.wait_for_selector(".facecomp-panel img", timeout=30_000)
        page.wait_for_function(SHOWS, arg="0,102,0", polling=50)

        red, blue = page.locator(".facecomp-panel input[type=range]").all()
        red.press("ArrowRight")
        page.wait_for_function(SHOWS, arg="51,102,0", polling=50)
        red.press("End")
        blue.press("End")
        page.wait_for_function(SHOWS, arg="255,102,255", polling=50)
        assert page.locator(".facecomp-panel output").all_inner_texts() == ["1.0", "1.0"]
        browser.close()
