"""System calls that a shut-in programme may not make, as the filter that Bubblewrap hands to the kernel (seccomp, classic BPF).

They make memory that no process is charged with, so that no limit of the others would bind: segments and queues of System V,
files without a name, rings and keys of the kernel.

Not covered: the walls themselves (`sandbox.py`).
"""

from __future__ import annotations

import platform
import struct

ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
"""How the kernel names the machines whose call numbers are known here (linux/audit.h)."""
FORBIDDEN = {
    "shmget": {"x86_64": 29, "aarch64": 194},
    "semget": {"x86_64": 64, "aarch64": 190},
    "msgget": {"x86_64": 68, "aarch64": 186},
    "add_key": {"x86_64": 248, "aarch64": 217},
    "memfd_create": {"x86_64": 319, "aarch64": 279},
    "io_uring_setup": {"x86_64": 425, "aarch64": 425},
    "memfd_secret": {"x86_64": 447, "aarch64": 447},
}
OTHER_ABI = 0x40000000  # x32 calls of an x86_64 kernel begin here
LOAD, EQUAL, AT_LEAST, RETURN = 0x20, 0x15, 0x35, 0x06
NUMBER, ARCHITECTURE = 0, 4  # places in struct seccomp_data
ALLOW, DENY, KILL = 0x7FFF0000, 0x00050001, 0x80000000  # DENY: the call fails with EPERM


def machine() -> str | None:
    """This machine's name where its call numbers are known, else None."""
    name = platform.machine()
    return name if name in ARCHITECTURES else None


def filter_for(name: str) -> bytes:
    """The filter for a machine of ARCHITECTURES: an array of `struct sock_filter`.

    A call of another architecture ends the process: its numbers mean something else.
    """
    numbers = [of[name] for of in FORBIDDEN.values()]
    last = len(numbers) + 1  # steps from a test to the line that denies, counted from the first one
    lines = [
        (LOAD, 0, 0, ARCHITECTURE),
        (EQUAL, 1, 0, ARCHITECTURES[name]),
        (RETURN, 0, 0, KILL),
        (LOAD, 0, 0, NUMBER),
        (AT_LEAST, last, 0, OTHER_ABI),
        *((EQUAL, last - 1 - i, 0, number) for i, number in enumerate(numbers)),
        (RETURN, 0, 0, ALLOW),
        (RETURN, 0, 0, DENY),
    ]
    return b"".join(struct.pack("=HBBI", *line) for line in lines)
