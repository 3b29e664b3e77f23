"""course.py: it says what is wrong, repairs what was left half done, and never installs twice."""

import ast
import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

import course
from course import Trouble

ROOT = Path(__file__).parents[1]
PYTHON = sys.executable
COMMANDS = ["experiment", "lab", "lessons", "setup", "sweep", "sync", "test", "train"]


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """A folder that course.py takes for its clone, in which nothing is really installed.

    `clone.steps` lists the steps that were run; `clone.fails` maps the beginning of a step's title to what it
    raises, or to the exception to raise.
    """
    for name in ("pyproject.toml", course.LOCK):
        (tmp_path / name).write_text((ROOT / name).read_text())
    monkeypatch.setattr(course, "ROOT", tmp_path)
    monkeypatch.setattr(course, "LOG", tmp_path / "runs" / "setup.log")
    monkeypatch.delenv("FACECOMP_PYTHON", raising=False)
    return Clone(tmp_path, monkeypatch)


class Clone:
    def __init__(self, folder, monkeypatch):
        self.folder, self.steps, self.fails, self.version, self.other = folder, [], {}, None, None
        monkeypatch.setattr(course, "run_step", self.run_step)
        monkeypatch.setattr(course.Environment, "version", lambda _: self.version)
        monkeypatch.setattr(course.Environment, "clone", lambda _: self.other)

    def run_step(self, title, command, remark=""):
        self.steps.append(" ".join([title, *map(str, command)]))
        for beginning, error in self.fails.items():
            if title.startswith(beginning):
                raise error
        if title.startswith("making"):
            python = course.Environment.find().python
            python.parent.mkdir(parents=True, exist_ok=True)
            python.touch()
            self.version = (3, 12)

    def prepare(self, *extras):
        self.steps.clear()
        course.prepare(course.Environment.find(), extras)
        return len(self.steps)


def test_it_parses_on_python_3_8():
    ast.parse((ROOT / "course.py").read_text(encoding="utf-8"), feature_version=(3, 8))


def test_a_clone_has_one_line_end_on_every_system():
    if not (ROOT / ".git").exists():
        pytest.skip("not a clone")
    files = [".ci/run", "course.py", "lessons_src/00_start_here.py", "notebooks/00_start_here.ipynb"]
    ran = subprocess.run(["git", "check-attr", "eol", *files], cwd=ROOT, capture_output=True, text=True)
    assert ran.stdout.splitlines() == [f"{file}: eol: lf" for file in files]


def test_it_needs_the_standard_library_only():
    tree = ast.parse((ROOT / "course.py").read_text(encoding="utf-8"))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[0] for name in imported} <= sys.stdlib_module_names


# ---- what it refuses ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("version, state", [((3, 8), "too old"), ((3, 10), "too old"), ((3, 15), "too new")])
def test_a_python_without_builds_is_refused_with_the_supported_range(version, state):
    shown = rf"Python 3\.{version[1]} is {state}.*Python 3\.11 to 3\.14.*python3\.14 course\.py"
    with pytest.raises(Trouble, match=shown):
        course.check_python(version)


def test_the_supported_range_is_accepted():
    for minor in (11, 12, 13, 14):
        course.check_python((3, minor))


def test_a_clone_on_an_old_python_stops_before_it_touches_anything(clone, monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 9, 1))
    with pytest.raises(Trouble, match="too old"):
        clone.prepare()
    assert clone.steps == [] and not (clone.folder / ".venv").exists()


def test_an_environment_that_works_serves_an_old_python_too(clone, monkeypatch):
    clone.prepare()
    monkeypatch.setattr(sys, "version_info", (3, 9, 1))
    assert clone.prepare("test") == 2  # packages and face-alignment, into the environment that is there


def test_an_environment_of_an_old_python_is_made_anew(clone):
    clone.prepare()
    clone.version = (3, 10)
    clone.prepare("test")
    assert clone.steps[0].startswith("making .venv")


@pytest.mark.parametrize("machine", [("Darwin", "x86_64", True), ("Linux", "i686", False)])
def test_a_machine_without_builds_is_refused(machine):
    with pytest.raises(Trouble, match="Intel Macs|64-bit"):
        course.check_machine(*machine)


def test_a_disk_that_is_too_full_is_found_out_first(clone, monkeypatch):
    monkeypatch.setattr(course.shutil, "disk_usage", lambda _: SimpleNamespace(free=1.5e9))
    with pytest.raises(Trouble, match=r"too full: 1\.5 GB are free .* needs 4 GB"):
        clone.prepare()
    assert clone.steps == []


def test_extras_are_checked(clone):
    with pytest.raises(Trouble, match="render and test, not gpu"):
        course.main(["setup", "gpu"])


@pytest.mark.parametrize("arguments, code", [([], 0), (["help"], 0), (["--help"], 0), (["lesson"], 2)])
def test_help_names_every_command(capsys, arguments, code):
    assert course.main(arguments) == code
    shown = capsys.readouterr().out
    assert all(f"course.py {command}" in shown for command in COMMANDS)


@pytest.mark.parametrize("named", ["nowhere/python", "git", "true", "echo"])
def test_a_named_python_that_is_none_is_refused(clone, monkeypatch, named):
    monkeypatch.setenv("FACECOMP_PYTHON", named)
    with pytest.raises(Trouble, match=f"FACECOMP_PYTHON is '{named}', which is no Python"):
        course.Environment.find()


def test_a_named_python_is_used_where_it_is(monkeypatch):
    monkeypatch.setenv("FACECOMP_PYTHON", PYTHON)
    environment = course.Environment.find()
    assert environment.folder == Path(sys.prefix) and not environment.ours


def test_an_environments_python_is_asked_for_its_version(tmp_path):
    assert course.Environment(tmp_path, PYTHON, True).version() == sys.version_info[:2]
    assert course.Environment(tmp_path, tmp_path / "python", True).version() is None
    assert course.Environment(tmp_path, "true", True).version() is None


def test_an_environment_knows_the_clone_that_is_installed_in_it(tmp_path):
    assert course.Environment(tmp_path, PYTHON, False).clone().joinpath("course.py").exists()
    subprocess.run([PYTHON, "-m", "venv", "--without-pip", tmp_path / "empty"], check=True)
    python = tmp_path / "empty" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    assert course.Environment(tmp_path, python, False).clone() is None


@pytest.fixture
def shared(clone, tmp_path_factory, monkeypatch):
    """A clone that is told to use an environment which somebody made elsewhere."""
    folder = tmp_path_factory.mktemp("shared")
    python = folder / "bin" / "python"
    monkeypatch.setattr(course.Environment, "find", lambda: course.Environment(folder, python, False))
    python.parent.mkdir()
    python.touch()
    clone.version = (3, 12)
    return clone


def test_an_environment_of_another_clone_is_refused_and_left_as_it_is(shared, tmp_path_factory):
    shared.other = tmp_path_factory.mktemp("other")
    with pytest.raises(Trouble, match=f"belongs to another clone of the course, {shared.other}. Unset"):
        shared.prepare()
    assert shared.steps == [] and course.Environment.find().installed() == {}


def test_an_environment_of_this_clone_or_of_one_that_is_gone_is_used(shared):
    shared.other = shared.folder
    assert shared.prepare() == 2
    shared.other = shared.folder / "gone"
    assert shared.prepare("test") == 2


def test_only_our_own_environment_is_held_to_the_lock(clone, shared):
    shared.prepare()
    assert "requirements.lock" not in " ".join(shared.steps)


def test_our_own_environment_gets_the_locked_versions(clone):
    clone.prepare()
    assert all("-c requirements.lock" in step for step in clone.steps[1:]) and len(clone.steps) == 3


# ---- what fails on the way ---------------------------------------------------------------------------------

OFFLINE = """WARNING: Retrying after connection broken by 'NewConnectionError("Failed to establish a new conn
ERROR: Could not find a version that satisfies the requirement lpips==0.1.4 (from versions: none)
ERROR: No matching distribution found for lpips==0.1.4"""
FULL = "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device"
NO_BUILD = """ERROR: Could not find a version that satisfies torch==2.13.0 (from versions: 2.2.2)
ERROR: No matching distribution found for torch==2.13.0"""
NO_VENV = "The virtual environment was not created successfully because ensurepip is not available."


@pytest.mark.parametrize(
    "output, sentence",
    [
        (OFFLINE, "The package index cannot be reached"),
        (FULL, "The disk is full"),
        (NO_BUILD, "There is no build of torch==2.13.0"),
        (NO_VENV, "apt install python3-venv"),
        ("one\nodd thing", "The last lines were"),
    ],
)
def test_a_failing_step_says_what_to_do(tmp_path, monkeypatch, output, sentence):
    monkeypatch.setattr(course, "LOG", tmp_path / "setup.log")
    script = "import sys; print(sys.argv[1]); sys.exit(1)"
    with pytest.raises(Trouble, match="Set-up stopped while installing packages") as caught:
        course.run_step("installing packages", [PYTHON, "-c", script, output])
    assert sentence in str(caught.value)
    assert output in course.LOG.read_text(encoding="utf-8")


def test_an_index_that_cannot_be_reached_is_recognised_from_what_pip_really_prints(tmp_path, monkeypatch):
    monkeypatch.setattr(course, "LOG", tmp_path / "setup.log")
    nowhere = ["--isolated", "--index-url", "http://127.0.0.1:9/simple", "--retries", "1", "--timeout", "2"]
    with pytest.raises(Trouble, match="The package index cannot be reached"):
        course.run_step("installing", [PYTHON, "-m", "pip", "download", *nowhere, "-d", tmp_path, "facecomp"])


def test_a_step_shows_its_title_its_seconds_and_large_downloads(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(course, "LOG", tmp_path / "setup.log")
    lines = "  Downloading https://x/torch-2.13.0.whl (526.6 MB)\nDownloading six-1.whl (11 kB)\n"
    lines += "Installing collected packages: " + ", ".join(["six"] * 30)
    course.run_step("installing packages", [PYTHON, "-c", f"print({lines!r})"], " (minutes)")
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == "set-up: installing packages (minutes) ..."
    assert shown[1].strip() == "downloading torch-2.13.0.whl (526.6 MB)"
    assert shown[2].strip() == "unpacking 30 packages"
    assert re.fullmatch(r"set-up: installing packages: \d+\.\d s", shown[3]) and len(shown) == 4


# ---- when it installs --------------------------------------------------------------------------------------


def test_a_second_call_installs_nothing(clone):
    assert clone.prepare() == 3
    assert clone.prepare() == 0


def test_another_pyproject_or_lock_is_installed_into_the_same_environment(clone):
    clone.prepare()
    for name in ("pyproject.toml", "requirements.lock"):
        with (clone.folder / name).open("a") as file:
            file.write("# another pin\n")
        assert clone.prepare() == 2 and not any(step.startswith("making") for step in clone.steps)


def test_a_clone_that_was_moved_is_installed_from_where_it_is_now(clone, monkeypatch):
    clone.prepare()
    moved = clone.folder.rename(clone.folder.with_name("moved"))
    monkeypatch.setattr(course, "ROOT", moved)
    monkeypatch.setattr(course, "LOG", moved / "setup.log")
    assert clone.prepare() == 2


def test_extras_add_up(clone):
    clone.prepare("test")
    assert clone.prepare() == 0
    clone.prepare("render")
    assert ".[render,test]" in clone.steps[0]
    assert clone.prepare("test", "render") == 0


@pytest.mark.parametrize("step", ["making", "installing packages", "installing face-alignment"])
@pytest.mark.parametrize("error", [Trouble("the disk is full"), KeyboardInterrupt()])
def test_what_failed_or_was_interrupted_is_repaired_by_the_next_call(clone, step, error):
    clone.fails[step] = error
    with pytest.raises(type(error)):
        clone.prepare()
    clone.fails.clear()
    assert clone.prepare() >= 2
    assert clone.prepare() == 0


def test_a_repair_that_fails_leaves_no_stamp_of_the_time_before(clone):
    clone.prepare()
    clone.fails["installing packages"] = Trouble("offline")
    with pytest.raises(Trouble):
        clone.prepare("test")
    assert course.Environment.find().installed() == {}


@pytest.mark.parametrize("content", ['{"pyproj', "[]", "{}", '{"extras": null}', '{"extras": ["gpu"]}', "3"])
def test_a_damaged_stamp_counts_as_none(clone, content):
    clone.prepare()
    course.Environment.find().stamp.write_text(content)
    assert clone.prepare() == 2


def test_callers_at_the_same_time_wait_for_each_other(tmp_path):
    order, lock = [], tmp_path / "lock"

    def second():
        with course.only_one(lock):
            order.append("second")

    with course.only_one(lock):
        thread = threading.Thread(target=second)
        thread.start()
        time.sleep(0.3)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_a_caller_that_waited_finds_the_work_done(clone):
    """The state is looked at again once the lock is held, so that two callers install once."""
    environment = course.Environment.find()
    threads = [threading.Thread(target=course.prepare, args=(environment,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(clone.steps) == 3


# ---- what it runs ------------------------------------------------------------------------------------------


@pytest.fixture
def ready(clone, monkeypatch):
    """A clone that is set up; `ready` lists what course.py runs in it."""
    clone.prepare()
    clone.prepare("render", "test")
    ran = []
    monkeypatch.setattr(course, "fetch_weights", lambda _: ran.append("weights"))
    monkeypatch.setattr(course, "follow", lambda command, extra: ran.append((command[1:], extra)) or 7)
    return ran


@pytest.mark.parametrize("name", ["lessons", "lab", "train", "experiment"])
def test_commands_fetch_weights_then_run_their_tool_and_return_its_exit_code(ready, name):
    assert course.main([name, "01", "--jobs", "1"]) == 7
    assert ready[0] == "weights" and ready[1][0] == ["-m", f"tools.{name}", "01", "--jobs", "1"]
    assert (ROOT / "tools" / f"{name}.py").exists()


def test_sync_needs_no_weights(ready):
    course.main(["sync"])
    assert "weights" not in ready


def test_test_runs_tests_and_notebooks_small(ready):
    course.main(["test"])
    command, variables = ready[1]
    assert command[-2:] == ["tests", "notebooks"] and "--nbval-lax" in command
    assert variables["FACECOMP_PRESET"] == "smoke"


def test_test_takes_pytests_arguments(ready, clone):
    (clone.folder / "tests").mkdir()
    (clone.folder / "tests" / "test_a.py").touch()
    course.main(["test", "tests/test_a.py::test_b", "-x"])
    assert ready[1][0][-2:] == ["tests/test_a.py::test_b", "-x"] and "notebooks" not in ready[1][0]


def test_the_exit_code_of_what_ran_is_ours(tmp_path):
    assert course.follow([PYTHON, "-c", "import sys; sys.exit(5)"], {}) == 5


def test_weights_that_cannot_be_had_do_not_stop_us(clone, monkeypatch, capfd):
    broken = course.Environment(clone.folder, clone.folder / "python", True)
    monkeypatch.setattr(course.subprocess, "call", lambda *_, **__: 1)
    course.fetch_weights(broken)
    assert "going on without" in capfd.readouterr().out


def test_a_command_that_a_signal_ended_gives_the_shells_exit_code():
    assert course.follow([PYTHON, "-c", "import os; os.kill(os.getpid(), 15)"], {}) == 143


def python(script, shell='"$0" -c "$1"', **variables):
    """What a script that imports course prints, started by a line of shell."""
    return subprocess.run(
        ["sh", "-c", shell, PYTHON, script], env={**os.environ, "PYTHONPATH": str(ROOT), **variables},
        capture_output=True, text=True, encoding="utf-8", errors="surrogateescape",
    )  # fmt: skip


def test_relative_folders_in_variables_mean_those_of_the_caller(tmp_path):
    script = "import course, os; course.settle(); print(*(os.environ[n] for n in course.PATHS))"
    shell = f'cd "{tmp_path}" && "$0" -c "$1"'
    ran = python(script, shell, FACECOMP_CACHE="a/b", FACECOMP_RUN_DIR="~/c", HOME="/a_home")
    assert ran.stdout.split() == [str(tmp_path / "a" / "b"), "/a_home/c"]


def test_a_named_python_may_be_relative(tmp_path, monkeypatch):
    monkeypatch.chdir(Path(PYTHON).parent)
    monkeypatch.setenv("FACECOMP_PYTHON", f"./{Path(PYTHON).name}")
    assert str(course.Environment.find().python) == PYTHON


def test_closed_output_is_no_trouble(tmp_path):
    child = "import sys; print(3); open('said', 'w').write(str(sys.stdout.fileno()))"
    script = f"import course; course.settle(); course.ROOT = {str(tmp_path)!r}; "
    script += f"print(1); exit(course.follow([{PYTHON!r}, '-c', {child!r}], {{}}))"
    ran = python(script, '"$0" -c "$1" >&- 2>&- <&-')
    assert ran.returncode == 0 and (tmp_path / "said").read_text() == "1"


@pytest.mark.parametrize("shell", ['"$0" course.py help | true', '"$0" course.py help >/dev/full'])
def test_output_that_nobody_takes_gives_no_traceback(shell):
    ran = python("", f'cd "{ROOT}" && {shell}')
    assert "Traceback" not in ran.stderr and "Exception" not in ran.stderr


def test_a_locale_of_ascii_can_say_every_name(tmp_path):
    folder = tmp_path / "Öl & Käse 顔"
    folder.mkdir()
    for name in ("course.py", "pyproject.toml", course.LOCK):
        (folder / name).write_bytes((ROOT / name).read_bytes())
    script = "import course; course.settle(); course.fingerprint(); print(course.ROOT); "
    script += "exit(course.run(['lessons']))"
    ascii_only = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    named = {"FACECOMP_PYTHON": "/nowhere/Käse"}
    ran = python(script, f'cd "{folder}" && "$0" -c "$1"', **ascii_only, **named, PYTHONPATH=str(folder))
    assert ran.returncode == 1 and "Traceback" not in ran.stderr
    assert "which is no Python that runs" in ran.stderr


def test_trouble_is_one_sentence_without_a_traceback(tmp_path):
    variables = {**os.environ, "FACECOMP_PYTHON": str(tmp_path / "none")}
    command = [PYTHON, ROOT / "course.py", "lessons"]
    ran = subprocess.run(command, env=variables, capture_output=True, text=True)
    assert ran.returncode == 1
    assert ran.stderr.startswith("course.py: FACECOMP_PYTHON is") and "Traceback" not in ran.stderr
