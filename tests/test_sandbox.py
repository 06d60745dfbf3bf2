"""Programmes that try to break out of the sandbox, beside honest ones that must pass: each attempt would work outside of it."""

import os
import platform
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil
import pytest

from pkt_core.benchmarks import sandbox
from pkt_core.benchmarks.sandbox import Limits, run, unavailable
from pkt_core.benchmarks.sandbox.syscalls import (
    ALLOW,
    ANY_OF,
    ARCHITECTURE,
    ARCHITECTURES,
    AT_LEAST,
    CLONE,
    CLONE3,
    DENY,
    EQUAL,
    FIRST,
    FORBIDDEN,
    KILL,
    LOAD,
    NUMBER,
    RETURN,
    SOCKET,
    UNKNOWN,
    filter_for,
)
from pkt_core.errors import SandboxError

ROOT = Path(__file__).parents[1]
QUICK = Limits(seconds=4.0, processor_seconds=2)
HONEST = """
import collections, functools, heapq, itertools, json, math, re, string, tempfile, threading
with tempfile.TemporaryFile("w+") as file:
    file.write("some")
    file.seek(0)
    assert file.read() == "some"
thread = threading.Thread(target=sum, args=([1, 2],))
thread.start()
thread.join()
import numpy
assert numpy.ones(3).sum() == 3
assert sorted(range(100_000), reverse=True)[0] == 99_999
"""


def left_over():
    """Processes of the judge that still live."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        if "/judge.py" in (process.info["cmdline"] or []) and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(process)
    return found


@pytest.fixture(autouse=True)
def nothing_is_left(walls):  # noqa: ARG001
    """Before and after each attempt an honest programme passes; afterwards no process of the judge lives."""
    assert run(HONEST).passed
    yield
    assert run(HONEST).passed
    assert not left_over()


def test_what_runs_to_its_end_passes_and_nothing_else_does():
    assert run("assert 1 + 1 == 2").passed
    assert run("def add(a, b):\n    return a + b\n\nassert add(2, 3) == 5").passed
    for programme, said in (
        ("assert 1 + 1 == 3", "AssertionError"),
        ("1 / 0", "ZeroDivisionError"),
        ("def broken(:", "SyntaxError"),
        ("input()", "EOFError"),
        ("import torch", "ModuleNotFoundError"),
    ):
        outcome = run(programme)
        assert not outcome.passed
        assert said in outcome.said


@pytest.mark.parametrize("leave", ["import sys; sys.exit(0)", "raise SystemExit", "import os; os._exit(0)", "quit()"])
def test_leaving_before_the_tests_is_no_pass(leave):
    assert not run(f"{leave}\nassert False").passed
    assert not run(leave).passed


def test_an_endless_loop_ends():
    began = time.monotonic()
    assert run("while True: pass", QUICK).how == "time"
    assert run("import time\ntime.sleep(60)", QUICK).how == "time"
    assert time.monotonic() - began < 20


def test_a_fork_bomb_is_small_and_over():
    bomb = "import os\nwhile True:\n    try:\n        os.fork()\n    except OSError:\n        pass"
    most, done = 0, threading.Event()

    def count():
        nonlocal most
        while not done.is_set():
            most = max(most, len(left_over()))
            time.sleep(0.05)

    counter = threading.Thread(target=count)
    counter.start()
    outcome = run(bomb, QUICK)
    done.set()
    counter.join()
    assert not outcome.passed
    assert 4 <= most <= QUICK.processes + 2  # it did fork, and was held; two are bubblewrap


def test_as_many_processes_as_allowed_and_no_more():
    made = "import os, time\nfor _ in range({n}):\n    if os.fork() == 0:\n        time.sleep(1)\n        os._exit(0)\n"
    assert run(made.format(n=3), Limits(processes=8)).passed
    assert "BlockingIOError" in run(made.format(n=12), Limits(processes=8)).said


def test_ten_gigabytes_are_not_given():
    assert "MemoryError" in run("held = bytearray(10 * 2**30)").said
    assert run("held = bytearray(100 * 2**20)").passed
    many = "import os, time\nfor _ in range(6):\n    if os.fork() == 0:\n        held = b'x' * (150 * 2**20)\n        time.sleep(9)\n        os._exit(0)\ntime.sleep(9)\n"
    outcome = run(many, Limits(memory=400 * 2**20))  # each is allowed 400, all of them together are not 900
    assert outcome.how == "memory"


HELD_BY_NOBODY = {
    "segments": "made = [c.shmget(0, 2**20, 0o1600) for _ in range(3)]",
    "queues": "made = [c.msgget(0, 0o1600)]",
    "files without a name": "made = [c.memfd_create(b'x', 0)]",
    "keys": "made = [c.syscall({'x86_64': 248, 'aarch64': 217}[os.uname().machine], b'user', b'x', b'y', 1, -2)]",
    "rings": "made = [c.syscall(425, 8, bytes(120))]",
    "calls of another kind": "made = [c.syscall(0x40000000 | 39) if os.uname().machine == 'x86_64' else -1]",
}


@pytest.mark.parametrize("what", HELD_BY_NOBODY)
def test_memory_that_no_process_is_charged_with_cannot_be_made(what):
    asked = f"import ctypes, os\nc = ctypes.CDLL(None)\n{HELD_BY_NOBODY[what]}\n"
    assert run(asked + "assert all(one == -1 for one in made), made").passed
    assert not run(asked + "assert all(one >= 0 for one in made)").passed


def test_other_system_calls_are_let_through_the_filter():
    assert run("import ctypes, os\nassert ctypes.CDLL(None).getpid() == os.getpid()").passed
    for name in ARCHITECTURES:
        lines = list(struct.iter_unpack("=HBBI", filter_for(name)))
        for number in (0, 1, 57, 999, *(of[name] for of in FORBIDDEN.values()), 0x40000000, 0xFFFFFFFF):
            forbidden = number in {of[name] for of in FORBIDDEN.values()} or number >= 0x40000000
            assert verdict(lines, number, ARCHITECTURES[name]) == (DENY if forbidden else ALLOW)
        assert verdict(lines, 0, 0x40000003) == KILL  # 32-bit calls


def test_the_filter_decides_sockets_and_clones_by_their_first_argument():
    for name in ARCHITECTURES:
        lines = list(struct.iter_unpack("=HBBI", filter_for(name)))

        def says(number, first, lines=lines, name=name):
            return verdict(lines, number, ARCHITECTURES[name], first)

        assert [family for family in range(60) if says(SOCKET[name], family) == ALLOW] == [socket.AF_UNIX]
        assert says(CLONE[name], 0x01200011) == says(CLONE[name], 0x3D0F00) == ALLOW  # fork, thread
        for flag in (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000):
            assert says(CLONE[name], flag | 17) == DENY
        assert says(CLONE3, 0) == UNKNOWN


NAMESPACES_OF_ITS_OWN = """
import ctypes, os
c = ctypes.CDLL(None, use_errno=True)
def fails(call, *given):
    if call(*given) == -1:
        return
    raise SystemError(f"{given} worked")
for flag in (0x10000000, 0x10020000, 0x50000000, 0x20000, 0x20000000):
    fails(c.unshare, flag)
    pid = c.syscall(CLONE, flag | 17, 0, 0, 0, 0)
    if pid == 0:
        os._exit(0)
    assert pid == -1, f"clone {flag:x} worked"
fails(c.setns, 0, 0)
block = (ctypes.c_uint64 * 11)(0x10000000, 0, 0, 0, 17)
pid = c.syscall(435, block, 88)
if pid == 0:
    os._exit(0)
assert pid == -1, "clone3 worked"
assert ctypes.get_errno() == 38
"""


def test_it_cannot_make_namespaces_of_its_own():
    attempt = NAMESPACES_OF_ITS_OWN.replace("CLONE", str(CLONE[platform.machine()]))
    outcome = run(attempt)
    assert outcome.passed, outcome
    done = subprocess.run([sys.executable, "-c", attempt], capture_output=True, text=True, check=False)
    if Path("/proc/sys/user/max_user_namespaces").read_text().strip() != "0":
        assert "worked" in done.stderr  # outside the same attempt gets one


def test_it_gets_no_socket_but_local_ones():
    attempt = "import socket\ngot = []\nfor family in range(50):\n    for kind in (1, 2, 3):\n        try:\n            socket.socket(family, kind).close()\n            got.append(family)\n        except PermissionError:\n            pass\n        except OSError:\n            assert family == 1, family\n"
    assert run(attempt + "assert set(got) == {1}, got").passed
    assert run(
        "import socket, multiprocessing\na, b = socket.socketpair()\na.send(b'x')\nassert b.recv(1) == b'x'"
    ).passed
    outside = attempt.replace("assert family == 1, family", "pass")
    subprocess.run([sys.executable, "-c", outside + "assert {1, 2} <= set(got), got"], check=True)


def verdict(lines, number, architecture, first=0):
    """What the kernel makes of a call: the filter's lines one by one."""
    at, value = 0, 0
    while True:
        code, when, otherwise, k = lines[at]
        if code == RETURN:
            return k
        if code == LOAD:
            value = {NUMBER: number, ARCHITECTURE: architecture, FIRST: first}[k]
            at += 1
        else:
            holds = {EQUAL: value == k, AT_LEAST: value >= k, ANY_OF: bool(value & k)}[code]
            at += 1 + (when if holds else otherwise)


def test_files_are_written_to_its_own_folder_alone(tmp_path):
    targets = [
        ROOT / "escaped",
        Path.home() / "escaped",
        Path("/tmp/pkt-escaped"),
        tmp_path / "escaped",
        Path("/usr/escaped"),
    ]
    attempt = "import os\ntried = []\nfor path in {paths!r}:\n    try:\n        open(path, 'w').write('x')\n        tried.append(path)\n    except OSError:\n        pass\nassert {ok}, tried"
    paths = [str(path) for path in targets]
    assert run(attempt.format(paths=paths, ok="tried == ['/tmp/pkt-escaped']")).passed
    assert not any(path.exists() for path in targets)
    subprocess.run([sys.executable, "-c", attempt.format(paths=[str(tmp_path / "escaped")], ok="tried")], check=True)
    assert (tmp_path / "escaped").exists()  # outside the same attempt works
    assert "Errno 27" in run("open('/tmp/large', 'wb').write(bytes(2**26))").said  # a file is at most so large
    many = "for i in range(64):\n    open(f'/tmp/{i}', 'wb').write(bytes(2**20))"
    assert "No space left" in run(many).said  # and all of them together


def test_nothing_gets_out_through_sockets(tmp_path):
    tcp, udp, local = socket.socket(), socket.socket(type=socket.SOCK_DGRAM), socket.socket(socket.AF_UNIX)
    abstract = socket.socket(socket.AF_UNIX)
    with tcp, udp, local, abstract:
        for one in (tcp, udp):
            one.bind(("127.0.0.1", 0))
        local.bind(str(tmp_path / "socket"))
        abstract.bind(f"\0pkt-{os.getpid()}")
        for one in (tcp, local, abstract):
            one.listen()
        for one in (tcp, udp, local, abstract):
            one.settimeout(0.2)
        attempt = f"""
import socket
reached = []
def attempt(name, kind, how, address, family=socket.AF_INET):
    try:
        with socket.socket(family, kind) as one:
            one.settimeout(0.3)
            getattr(one, how)(*address)
            reached.append(name)
    except OSError:
        pass
attempt("tcp", socket.SOCK_STREAM, "connect", [("127.0.0.1", {tcp.getsockname()[1]})])
attempt("out", socket.SOCK_STREAM, "connect", [("192.0.2.1", 80)])
attempt("udp", socket.SOCK_DGRAM, "sendto", [b"x", ("127.0.0.1", {udp.getsockname()[1]})])
attempt("unix", socket.SOCK_STREAM, "connect", [{str(tmp_path / "socket")!r}], socket.AF_UNIX)
attempt("abstract", socket.SOCK_STREAM, "connect", ["\\0pkt-{os.getpid()}"], socket.AF_UNIX)
"""
        run(attempt)
        for one in (tcp, local, abstract):
            with pytest.raises(TimeoutError):
                one.accept()
        with pytest.raises(TimeoutError):
            udp.recv(1)
        assert run(attempt + "assert set(reached) <= {'udp'}, reached").passed  # a datagram to nobody is no error
        subprocess.run(
            [sys.executable, "-c", attempt + "assert {'tcp', 'udp', 'unix', 'abstract'} <= set(reached)"], check=True
        )
        assert udp.recv(1) == b"x"  # outside all of them arrive


def test_it_sees_neither_the_users_files_nor_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("PKT_SECRET", "word-that-must-not-leak")
    secret = tmp_path / "secret"
    secret.write_text("word-that-must-not-leak")
    keys = Path.home() / ".ssh"
    attempt = f"""
import glob, os
found = [name for name, value in os.environ.items() if "leak" in value]
for path in {[str(secret), str(ROOT / "README.md"), str(ROOT.parent), str(keys), "/etc/passwd", "/proc/self/environ", "/proc/1/environ"]!r}:
    try:
        found += os.listdir(path) if os.path.isdir(path) else [open(path).read()]
    except OSError:
        pass
for folder in ("/home", "/var", "/mnt", "/srv", "/opt", "/run", "/sys"):
    found += glob.glob(folder + "/*")
"""
    assert run(attempt + "assert not found, found").passed
    subprocess.run([sys.executable, "-c", attempt + "assert len(found) > 3"], check=True)


def test_it_cannot_reach_other_processes():
    victim = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        attempt = f"import os, signal\nfor pid in ({os.getpid()}, {victim.pid}, {os.getppid()}):\n    try:\n        os.kill(pid, signal.SIGKILL)\n    except (ProcessLookupError, PermissionError):\n        continue\n    raise SystemError(pid)"
        assert run(attempt).passed  # in its own namespace there are no such processes
        run("import os, signal\nos.kill(-1, signal.SIGKILL)")
        run("import os, signal\nos.kill(os.getppid(), signal.SIGKILL)")
        run("import os, signal\nos.killpg(0, signal.SIGKILL)")
        assert victim.poll() is None
    finally:
        victim.send_signal(signal.SIGKILL)
        victim.wait()


def test_much_output_is_thrown_away_and_a_flood_ends_it():
    assert run("for _ in range(2000):\n    print('x' * 10_000)").passed
    flood = "import os\nfor fd in range(3, 30):\n    try:\n        while True:\n            os.write(fd, b'x' * 65536)\n    except OSError:\n        pass\nimport time\ntime.sleep(9)"
    outcome = run(flood, QUICK)
    assert not outcome.passed
    assert len(outcome.said) < 400


def test_a_child_that_means_to_stay_does_not():
    stay = "import os, time\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n        time.sleep(60)\n    os._exit(0)\n"
    began = time.monotonic()
    assert run(stay).passed  # the programme itself did nothing wrong
    assert time.monotonic() - began < 5
    assert not left_over()


def test_it_cannot_raise_its_limits_or_become_root_again():
    raised = "import resource\nfor name in ('RLIMIT_AS', 'RLIMIT_NPROC', 'RLIMIT_CPU', 'RLIMIT_FSIZE'):\n    try:\n        resource.setrlimit(getattr(resource, name), (-1, -1))\n    except (ValueError, PermissionError):\n        continue\n    raise SystemError(name)"
    assert run(raised).passed
    assert run(
        "import os\ntry:\n    os.setuid(0)\nexcept PermissionError:\n    pass\nelse:\n    assert os.geteuid() != 0 or True\nassert not os.access('/usr/bin', os.W_OK)"
    ).passed


def test_without_a_sandbox_nothing_runs(monkeypatch, tmp_path):
    marker = tmp_path / "ran"
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    unavailable.cache_clear()
    try:
        with pytest.raises(SandboxError, match="Install it .`apt install bubblewrap`."):
            run(f"open({str(marker)!r}, 'w')")
        monkeypatch.undo()
        unavailable.cache_clear()
        monkeypatch.setattr(sandbox, "PROBE", "raise SystemError('processes are not counted')")
        with pytest.raises(SandboxError, match="processes are not counted"):
            run("pass")
        unavailable.cache_clear()
        monkeypatch.setattr(sys, "platform", "darwin")
        with pytest.raises(SandboxError, match="needs Linux"):
            run("pass")
    finally:
        monkeypatch.undo()
        unavailable.cache_clear()
    assert not marker.exists()


@pytest.mark.skipif(
    os.geteuid() != 0 or not Path("/usr/bin/python3").exists(), reason="shows, as root, what an ordinary user gets"
)
def test_an_ordinary_user_gets_the_same_walls():
    """Whatever folder the project lies in: that user sees only a copy of what the sandbox needs."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for name in (
            "__init__.py",
            "errors.py",
            "benchmarks/__init__.py",
            *(f"benchmarks/sandbox/{name}.py" for name in ("__init__", "syscalls", "judge")),
        ):
            (copy / "pkt_core" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / "pkt_core" / name, copy / "pkt_core" / name)
        shutil.copytree(Path(psutil.__file__).parent, copy / "psutil", ignore=shutil.ignore_patterns("__pycache__"))
        for path in (copy, *copy.rglob("*")):
            path.chmod(0o755)
        code = f"import sys; sys.path.insert(0, {folder!r}); from pkt_core.benchmarks.sandbox import *; print(unavailable(), run('1/0').how, run('1').how)"
        done = subprocess.run(
            ["/usr/bin/python3", "-B", "-c", code],
            user=65534,
            group=65534,
            extra_groups=[],
            capture_output=True,
            text=True,
            cwd="/",
            env={"PATH": os.environ["PATH"]},
        )
    assert done.stdout.split() == ["None", "failed", "passed"], done.stderr
