"""Runs generated code in isolation, and reports whether it ran to its end.

Each program gets a separate process behind Bubblewrap: no network, none of the user's files or environment, no visible other
processes, and only a small temporary folder in memory to write to. Processor time, memory and number of processes are limited,
and the program is killed with all its children when its time is over. System calls that allocate memory not charged to a
process, namespaces, or sockets other than local ones are forbidden (`benchmarks/sandbox/syscalls.py`). Where this isolation is
not available, no code is run; there is no weaker mode.

Not covered: a vulnerability of the kernel, which needs a virtual machine; a program that forges its own success
(`benchmarks/sandbox/judge.py`); packages other than NumPy.
"""

from __future__ import annotations

import functools
import importlib.util
import json
import os
import platform
import secrets
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil

from pkt_core.benchmarks.sandbox.syscalls import filter_for, machine
from pkt_core.errors import SandboxError

JUDGE = Path(__file__).with_name("judge.py")
PACKAGES = "/packages"
POLL_SECONDS = 0.05
WORDS = 4096  # bytes of output at most; more cannot come from the judge
USERS = 2**30  # unused user ids start here; each program gets a separate one, so that its processes are counted alone
WHY = "Generated code can do unintended harm, so it runs only in a sandbox and only with your permission."


@dataclass(frozen=True)
class Limits:
    """Resource limits of one program."""

    seconds: float = 12.0
    """Wall time until it is killed."""
    processor_seconds: int = 4
    """Processor time per process; the harness allows 3 s of wall time, start included."""
    memory: int = 2**30
    """Bytes of address space per process, and of memory held by all of its processes together."""
    processes: int = 16
    """And threads, alive at the same time."""
    files: int = 2**24
    """Bytes of one file, and of all it writes."""


@dataclass(frozen=True)
class Outcome:
    """Outcome of a program."""

    passed: bool
    """Whether it ran to its end without an error."""
    how: Literal["passed", "failed", "time", "memory", "killed"]
    """`failed`: an error; `time`, `memory`: a limit; `killed`: it ended without output, for example by a signal."""
    said: str
    """The error, one line."""
    seconds: float
    """Wall time."""


def run(programme: str, limits: Limits | None = None) -> Outcome:
    """Run a program. Raises SandboxError where there is no sandbox."""
    if reason := unavailable():
        raise SandboxError(reason)
    return behind_walls(programme, limits or Limits())


@functools.cache
def unavailable() -> str | None:
    """Why code cannot run here, and what to do; None where it can. Tested once."""
    if not sys.platform.startswith("linux"):
        return "Generated code is not run: the sandbox needs Linux. Run this benchmark on a Linux machine, or choose another."
    if shutil.which("bwrap") is None:
        return "Generated code is not run: the sandbox needs Bubblewrap. Install it (`apt install bubblewrap`), then try again."
    if machine() is None:
        return f"Generated code is not run: the sandbox supports x86-64 and 64-bit Arm, not {platform.machine()}. Use another machine."
    probe = behind_walls(PROBE, Limits(processes=8))
    if not probe.passed:
        return (
            f"Generated code is not run: Bubblewrap cannot isolate it here ({probe.said[:160] or probe.how}). Allow "
            "unprivileged user namespaces (`sysctl kernel.unprivileged_userns_clone=1`), or use another machine."
        )
    return None


PROBE = """
import ctypes, os, resource, socket, threading
assert not os.path.exists("/home") and not os.path.exists("/root/.ssh") and not os.path.exists("/proc/1")
assert set(os.environ) <= {"PATH", "LC_CTYPE", "PWD"}, sorted(os.environ)
try:
    open("/written", "w")
    raise SystemError("files can be written")
except OSError:
    pass
try:
    socket.create_connection(("192.0.2.1", 80), timeout=1)
    raise SystemError("there is a network")
except OSError as error:
    assert not isinstance(error, TimeoutError), "there is a network"
assert ctypes.CDLL(None).shmget(0, 4096, 0o1600) == -1, "memory can be held by nobody"
try:
    os.memfd_create("held")
    raise SystemError("memory can be held by nobody")
except PermissionError:
    pass
try:
    socket.socket(40)
    raise SystemError("there are sockets to a host of this machine")
except PermissionError:
    pass
assert ctypes.CDLL(None).unshare(0x10000000) == -1, "it can become root in a namespace of its own"
wait = threading.Event()
def idle():
    wait.wait(5)
try:
    for _ in range(40):
        threading.Thread(target=idle, daemon=True).start()
    raise SystemError("processes are not counted")
except RuntimeError:
    wait.set()
"""
"""Attempts what must fail; if one limit does not bind, there is no sandbox."""


def behind_walls(programme: str, limits: Limits) -> Outcome:
    """Start the judge in isolation, pass it the program, monitor it, and end all processes."""
    word, began = secrets.token_hex(16), time.monotonic()
    packages = readable_packages()
    request = {
        "programme": programme,
        "word": word,
        "limits": {
            "RLIMIT_AS": limits.memory,
            "RLIMIT_CPU": limits.processor_seconds,
            "RLIMIT_NPROC": limits.processes,
            "RLIMIT_FSIZE": limits.files,
            "RLIMIT_NOFILE": 64,
            "RLIMIT_CORE": 0,
            "RLIMIT_MEMLOCK": 0,
            "RLIMIT_MSGQUEUE": 0,
        },
        "user": USERS + secrets.randbelow(2**29) if os.geteuid() == 0 else None,
        "packages": [PACKAGES] if packages else [],
    }
    with forbidden_calls() as calls:
        process = subprocess.Popen(
            command(limits, packages, calls),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={},
            cwd="/",
            start_new_session=True,
            close_fds=True,
            pass_fds=(calls,),
        )
    said = bytearray()
    reader = threading.Thread(target=listen, args=(process, said), daemon=True)
    reader.start()
    assert process.stdin is not None
    try:
        with suppress(BrokenPipeError):
            process.stdin.write(json.dumps(request).encode())
            process.stdin.close()
        how = watch(process, limits, began, said)
    finally:
        end(process)
        reader.join()  # the pipe's other end died with the process namespace
        assert process.stdout is not None
        process.stdout.close()
    seconds = time.monotonic() - began
    words = bytes(said).decode("utf-8", "replace").strip()
    if how is not None:
        return Outcome(False, how, f"stopped: {how}", seconds)
    if words == word:
        return Outcome(True, "passed", "", seconds)
    if words:
        return Outcome(False, "failed", words[:300], seconds)
    if seconds >= limits.processor_seconds:
        return Outcome(False, "time", "stopped: time", seconds)
    return Outcome(False, "killed", f"ended without a word, status {process.returncode}", seconds)


@contextmanager
def forbidden_calls() -> Iterator[int]:
    """A file descriptor with the filter of system calls, in the format of Bubblewrap."""
    name = machine()
    assert name is not None
    reading, writing = os.pipe()
    with open(writing, "wb") as file:
        file.write(filter_for(name))
    try:
        yield reading
    finally:
        os.close(reading)


def command(limits: Limits, packages: Sequence[Path], calls: int) -> list[str]:
    """Bubblewrap's command: system files and the interpreter read-only, a writable folder in memory, nothing else."""
    words = [
        shutil.which("bwrap") or "bwrap",
        "--unshare-pid",
        "--unshare-net",
        "--unshare-ipc",
        "--unshare-uts",
        "--unshare-cgroup-try",
        "--seccomp",
        str(calls),
    ]
    if (
        os.geteuid() == 0
    ):  # root maps to root in a user namespace, where process limits do not bind: become another user
        words += ["--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    else:
        words += ["--unshare-user", "--disable-userns"] if can_disable() else ["--unshare-user"]
    words += ["--die-with-parent", "--new-session", "--clearenv", "--setenv", "PATH", "/usr/bin"]
    words += ["--ro-bind", "/usr", "/usr"]
    for name in ("/lib", "/lib64", "/lib32"):
        path = Path(name)
        if path.is_symlink():
            words += ["--symlink", os.readlink(path), name]
        elif path.is_dir():
            words += ["--ro-bind", name, name]
    words += ["--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache", "--dev-bind", "/dev/null", "/dev/null"]
    prefix = Path(sys.base_prefix).resolve()
    if not prefix.is_relative_to("/usr"):
        for parent in reversed(prefix.parents[:-1]):  # empty here, and open to the ordinary user that root becomes
            words += ["--perms", "0755", "--dir", str(parent)]
        words += ["--ro-bind", str(prefix), str(prefix)]
    words += ["--perms", "0755", "--dir", PACKAGES]
    for package in packages:
        words += ["--ro-bind", str(package), f"{PACKAGES}/{package.name}"]
    words += ["--ro-bind", str(JUDGE), "/judge.py"]
    words += ["--perms", "1777", "--size", str(limits.files), "--tmpfs", "/tmp", "--remount-ro", "/"]
    return [*words, str(interpreter()), "-I", "-S", "-B", "/judge.py"]


def interpreter() -> Path:
    """The base Python of this environment; the environment's own is among the user's files."""
    return Path(getattr(sys, "_base_executable", None) or sys.executable).resolve()


@functools.cache
def can_disable() -> bool:
    """Whether this Bubblewrap can forbid further user namespaces, a frequent path to kernel vulnerabilities."""
    output = subprocess.run(["bwrap", "--help"], capture_output=True, text=True, check=False)
    return "--disable-userns" in output.stdout + output.stderr


@functools.cache
def readable_packages() -> tuple[Path, ...]:
    """NumPy's folders, which some solutions import; none where it is not installed."""
    spec = importlib.util.find_spec("numpy")
    if spec is None or spec.origin is None:
        return ()
    package = Path(spec.origin).parent.resolve()
    libraries = package.with_name("numpy.libs")
    return (package, libraries) if libraries.is_dir() else (package,)


def listen(process: subprocess.Popen[bytes], said: bytearray) -> None:
    """Read the output until it ends or exceeds WORDS bytes."""
    assert process.stdout is not None
    while len(said) <= WORDS and (some := os.read(process.stdout.fileno(), WORDS)):
        said += some


def watch(
    process: subprocess.Popen[bytes], limits: Limits, began: float, said: bytearray
) -> Literal["time", "memory", "killed"] | None:
    """Wait until the process ends (None) or a limit is exceeded (its name)."""
    while True:
        try:
            process.wait(POLL_SECONDS)
            return None
        except subprocess.TimeoutExpired:
            if time.monotonic() - began > limits.seconds:
                return "time"
            if len(said) > WORDS:
                return "killed"
            if held(process.pid) > limits.memory:
                return "memory"


def held(pid: int) -> int:
    """Bytes of memory held by the descendants of a process."""
    total = 0
    with suppress(psutil.Error):
        for one in psutil.Process(pid).children(recursive=True):
            with suppress(psutil.Error):
                total += one.memory_info().rss
    return total


def end(process: subprocess.Popen[bytes]) -> None:
    """Kill it; the kernel then ends all processes in its namespace."""
    with suppress(ProcessLookupError):
        process.kill()
    process.wait()
