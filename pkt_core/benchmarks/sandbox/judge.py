"""Runs inside the sandbox and nowhere else: takes a programme from its input, gives up what it may do, carries the programme out.

It says the word it was given if, and only if, the programme ran to its end without an error, and else what went wrong. What
the programme prints is thrown away. Standard library alone, as nothing else can be imported here.

Not covered: the walls around this process (`benchmarks/sandbox/__init__.py`); a programme that searches this process for the word.
"""

import json
import os
import resource
import sys
import traceback
from typing import Any

SAID = 300  # characters of an error that are told


def give_up(limits: dict[str, int], user: int | None) -> None:
    """Take on the limits, hard ones, and become an ordinary user where this process is root."""
    if user is not None:
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
    for name, value in limits.items():
        resource.setrlimit(getattr(resource, name), (value, value))


def carried_out(programme: str) -> str | None:
    """What went wrong, None where nothing did. An exit before the end is an error: the tests may stand behind it."""
    try:
        exec(compile(programme, "<answer>", "exec"), {})
        return None
    except BaseException as error:
        return traceback.format_exception_only(error)[-1].strip()[:SAID]


def main() -> None:
    told: dict[str, Any] = json.load(sys.stdin)
    out, nowhere = os.dup(1), os.open("/dev/null", os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    sys.path += told["packages"]
    give_up(told["limits"], told["user"])
    os.chdir("/tmp")
    judge = os.getpid()
    wrong = carried_out(told["programme"])
    if os.getpid() == judge:  # a child that the programme forked has nothing to say
        os.write(out, (told["word"] if wrong is None else wrong).encode("utf-8", "replace"))
    os._exit(0)  # threads that the programme left do not keep it alive


if __name__ == "__main__":
    main()
