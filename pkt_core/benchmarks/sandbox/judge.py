"""Runs only inside the sandbox: reads a program from its input, drops its privileges, and runs the program.

It outputs the given word if and only if the program ran to its end without an error, and otherwise the error. Output of the
program is discarded. Standard library only, as nothing else can be imported here.

Not covered: the isolation of this process (`benchmarks/sandbox/__init__.py`); a program that searches this process for the word.
"""

import json
import os
import resource
import sys
import traceback
from typing import Any

SAID = 300  # characters of an error that are reported


def give_up(limits: dict[str, int], user: int | None) -> None:
    """Set hard limits, and become an ordinary user where this process is root."""
    if user is not None:
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
    for name, value in limits.items():
        resource.setrlimit(getattr(resource, name), (value, value))


def carried_out(programme: str) -> str | None:
    """The error, None without one. An early exit is an error, as the tests may follow it."""
    try:
        exec(compile(programme, "<answer>", "exec"), {})
        return None
    except BaseException as error:
        return traceback.format_exception_only(error)[-1].strip()[:SAID]


def main() -> None:
    request: dict[str, Any] = json.load(sys.stdin)
    out, nowhere = os.dup(1), os.open("/dev/null", os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    sys.path += request["packages"]
    give_up(request["limits"], request["user"])
    os.chdir("/tmp")
    judge = os.getpid()
    wrong = carried_out(request["programme"])
    if os.getpid() == judge:  # not in a child that the program forked
        os.write(out, (request["word"] if wrong is None else wrong).encode("utf-8", "replace"))
    os._exit(0)  # remaining threads of the program do not keep it alive


if __name__ == "__main__":
    main()
