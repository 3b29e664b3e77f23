"""However a command is stopped: what was trained is saved, a sentence is said, and no process runs on."""

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[2]
TRAINING = """import time
from pathlib import Path
folder = Path(run_dir or 'runs')
folder.mkdir(parents=True, exist_ok=True)
try:
    (folder / 'begun').touch()
    time.sleep(600)
except KeyboardInterrupt:
    time.sleep(0.5)  # a step ends
    (folder / 'saved').touch()
    raise"""
COURSE = """import sys, course
course.listen()
sys.exit(course.follow([sys.executable, '-m', *sys.argv[1:]], {}))"""
TOOL = """import sys
from pathlib import Path
from tools import {name}
from tools.command import run_command
main = lambda arguments: {name}.main(arguments, Path({folder!r}) / 'notebooks', Path({folder!r}) / 'runs')
if __name__ == '__main__':
    sys.exit(run_command('{name}', main))"""
POOL = """import sys, time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from facecomp_lib.utils.processes import end_with_parent
from tools.command import run_command
def do(job):
    open(job, 'w').close()
    time.sleep(600)
def main(names):
    with ProcessPoolExecutor(2, get_context('spawn'), end_with_parent) as pool:
        return len(list(pool.map(do, names)))
if __name__ == '__main__':
    sys.exit(run_command('experiment', main))"""
STEP = """import course, sys
from pathlib import Path
course.LOG = Path(sys.argv[1])
course.run_step('waiting', [sys.executable, '-c', 'import time; time.sleep(600)'])"""
pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="signals and /proc of Linux")


class Command:
    """A command under a stand-in for course.py, in a group of its own; all its processes are marked."""

    def __init__(self, folder, tool, *arguments):
        self.mark = uuid.uuid4().hex
        path = os.pathsep.join([str(folder), str(ROOT), os.environ.get("PYTHONPATH", "")])
        (folder / "a_tool.py").write_text(tool)
        self.process = subprocess.Popen(
            [sys.executable, "-c", COURSE, "a_tool", *map(str, arguments)],
            cwd=folder, env={**os.environ, "PYTHONPATH": path, "MARK": self.mark}, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),  # not that of nohup
        )  # fmt: skip

    def running(self):
        """The processes of this command that are there."""
        found = []
        for place in Path("/proc").glob("[0-9]*"):
            try:
                alive = (place / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
                if alive and self.mark.encode() in (place / "environ").read_bytes():
                    found.append(int(place.name))
            except OSError:
                continue
        return found

    def wait_until(self, condition, seconds=60):
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, self.running()
            time.sleep(0.1)

    def close(self):
        for number in self.running():
            os.kill(number, signal.SIGKILL)
        self.process.wait()
        self.process.stdout.close()


@pytest.fixture
def start(tmp_path):
    commands = []

    def start(tool, *arguments):
        commands.append(Command(tmp_path, tool, *arguments))
        return commands[-1]

    yield start
    for command in commands:
        command.close()


@pytest.fixture
def lessons(tmp_path):
    """Two lessons: one is done at once, one trains for ten minutes."""
    for name, source in (("01_short", "1 + 1"), ("02_long", TRAINING)):
        parameters = nbformat.v4.new_code_cell("run_dir = None", metadata={"tags": ["parameters"]})
        book = nbformat.v4.new_notebook(cells=[parameters, nbformat.v4.new_code_cell(source)])
        book.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
        (tmp_path / "notebooks").mkdir(exist_ok=True)
        nbformat.write(book, tmp_path / "notebooks" / f"{name}.ipynb")
    return tmp_path


def stop(command, how):
    """Send a signal as it comes: Ctrl-C to the whole group, everything else to course.py alone."""
    if how == signal.SIGINT:
        os.killpg(command.process.pid, how)
    else:
        command.process.send_signal(how)


@pytest.mark.parametrize(
    ("how", "code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)],
    ids=lambda value: getattr(value, "name", ""),
)
def test_a_training_is_saved_and_recorded_and_nothing_runs_on(lessons, start, how, code):
    command = start(TOOL.format(name="train", folder=str(lessons)), "02")
    folder = lessons / "runs" / "02_long" / "as_written"
    command.wait_until((folder / "run" / "begun").exists)
    stop(command, how)
    assert command.process.wait(60) == code
    command.wait_until(lambda: not command.running())
    assert (folder / "run" / "saved").exists()
    assert json.loads((folder / "run.json").read_text())["error"] == "stopped"
    assert "KeyboardInterrupt" in (folder / "02_long.html").read_text()
    if code > 0:
        shown = command.process.stdout.read()
        assert "course.py train: stopped; " in shown and "Traceback" not in shown


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL], ids=lambda how: how.name)
def test_lessons_stop_with_their_workers_and_kernels_and_keep_what_is_done(lessons, start, how):
    command = start(TOOL.format(name="lessons", folder=str(lessons)), "--jobs", "1")
    command.wait_until((lessons / "notebooks" / "runs" / "begun").exists)
    stop(command, how)
    command.process.wait(60)
    command.wait_until(lambda: not command.running())
    shown = command.process.stdout.read()
    assert "01_short" in (lessons / "runs" / "index.html").read_text()
    assert "Traceback" not in shown and ("stopped; " in shown)


@pytest.mark.parametrize("victim", ["course", "tool"])
def test_workers_of_a_pool_end_with_it(start, tmp_path, victim):
    command = start(POOL, tmp_path / "one", tmp_path / "two")
    command.wait_until(lambda: (tmp_path / "one").exists() and (tmp_path / "two").exists())
    if victim == "course":
        command.process.send_signal(signal.SIGHUP)  # the terminal was closed
        assert command.process.wait(30) == 143
    else:
        (tool,) = Path(f"/proc/{command.process.pid}/task/{command.process.pid}/children").read_text().split()
        os.kill(int(tool), signal.SIGKILL)
        assert command.process.wait(30) == 137
    command.wait_until(lambda: not command.running())


def test_a_step_of_the_set_up_ends_with_course_py(start, tmp_path):
    command = start(STEP, tmp_path / "setup.log")
    command.wait_until(lambda: len(command.running()) == 3)
    command.process.kill()
    command.wait_until(lambda: not command.running())
