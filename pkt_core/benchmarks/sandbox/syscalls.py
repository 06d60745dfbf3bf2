"""System calls forbidden in the sandbox, as a filter that Bubblewrap passes to the kernel (seccomp, classic BPF).

Some allocate memory that is charged to no process, so that the other limits would not bind: segments and queues of System V,
unnamed files, rings and keys of the kernel. Others bypass namespaces: non-local socket families (AF_VSOCK reaches the host of a
virtual machine, whatever the network is), and new namespaces, in which a process is root again and reaches parts of the kernel
closed to ordinary users. Bubblewrap's `--disable-userns` needs a user namespace, which a sandbox started by root does not have;
the filter applies to root as well.

Not covered: the other isolation (`benchmarks/sandbox/__init__.py`).
"""

from __future__ import annotations

import platform
import struct

ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
"""Kernel ids of the supported machines (linux/audit.h)."""
FORBIDDEN = {
    "shmget": {"x86_64": 29, "aarch64": 194},
    "semget": {"x86_64": 64, "aarch64": 190},
    "msgget": {"x86_64": 68, "aarch64": 186},
    "add_key": {"x86_64": 248, "aarch64": 217},
    "memfd_create": {"x86_64": 319, "aarch64": 279},
    "io_uring_setup": {"x86_64": 425, "aarch64": 425},
    "memfd_secret": {"x86_64": 447, "aarch64": 447},
    "unshare": {"x86_64": 272, "aarch64": 97},
    "setns": {"x86_64": 308, "aarch64": 268},
}
SOCKET, CLONE = {"x86_64": 41, "aarch64": 198}, {"x86_64": 56, "aarch64": 220}
"""Calls that depend on their first argument: the family, the flags."""
CLONE3 = 435  # its flags are in memory, invisible to filters; on ENOSYS the C library uses clone
UNIX = 1  # AF_UNIX
NAMESPACES = 0x7E020000  # CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET
OTHER_ABI = 0x40000000  # x32 calls of an x86_64 kernel begin here
LOAD, EQUAL, AT_LEAST, ANY_OF, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
NUMBER, ARCHITECTURE, FIRST = 0, 4, 16  # places in struct seccomp_data; the lower half of the first argument
ALLOW, DENY, KILL = 0x7FFF0000, 0x00050001, 0x80000000  # DENY: the call fails with EPERM
UNKNOWN = 0x00050026  # the call fails with ENOSYS


def machine() -> str | None:
    """Name of this machine where it is supported, else None."""
    name = platform.machine()
    return name if name in ARCHITECTURES else None


def filter_for(name: str) -> bytes:
    """The filter for a machine of ARCHITECTURES: an array of `struct sock_filter`.

    A call of another architecture ends the process, as its numbers differ.
    """
    numbers = [of[name] for of in FORBIDDEN.values()]
    tests: list[tuple[int, int, str]] = [  # of the call's number, and the jump target if one holds
        (AT_LEAST, OTHER_ABI, "deny"),
        *((EQUAL, number, "deny") for number in numbers),
        (EQUAL, CLONE3, "unknown"),
        (EQUAL, SOCKET[name], "socket"),
        (EQUAL, CLONE[name], "clone"),
    ]
    end = len(tests)
    places = {"allow": end, "socket": end + 1, "clone": end + 3, "let": end + 5, "deny": end + 6, "unknown": end + 7}
    lines = [
        (LOAD, 0, 0, ARCHITECTURE),
        (EQUAL, 1, 0, ARCHITECTURES[name]),
        (RETURN, 0, 0, KILL),
        (LOAD, 0, 0, NUMBER),
        *((code, places[to] - at - 1, 0, k) for at, (code, k, to) in enumerate(tests)),
        (RETURN, 0, 0, ALLOW),
        (LOAD, 0, 0, FIRST),  # socket
        (EQUAL, 2, 3, UNIX),
        (LOAD, 0, 0, FIRST),  # clone
        (ANY_OF, 1, 0, NAMESPACES),
        (RETURN, 0, 0, ALLOW),  # let
        (RETURN, 0, 0, DENY),
        (RETURN, 0, 0, UNKNOWN),
    ]
    return b"".join(struct.pack("=HBBI", *line) for line in lines)
