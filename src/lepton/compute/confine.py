"""What a process gives up before it opens a file that can hold code: Landlock and seccomp of Linux, without root.

Afterwards the process reads named places only, writes into one folder only, opens no socket, starts no program and no
process, sends no signal to others, and changes no file's mode, owner or times. None of it can be undone. Standard
library only, so that it stands before anything else is imported.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import resource
import struct
import sys
import threading
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

__all__ = ["confine", "why_not"]

_MACHINE = "x86_64"
_LEAST_LANDLOCK = 3  # the first that keeps files from being truncated; Linux 6.2
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF, _SECCOMP, _CAPSET = 444, 445, 446, 317, 126
_PATH_BENEATH = 1
_PR_SET_DEATH_SIGNAL, _PR_SET_NO_NEW_PRIVILEGES, _PR_SET_DUMPABLE = 1, 38, 4
_SIGKILL = 9

_WRITE_FILE, _READ_FILE, _READ_DIR, _TRUNCATE = 1 << 1, 1 << 2, 1 << 3, 1 << 14
_REMOVE_DIR, _REMOVE_FILE, _MAKE_DIR, _MAKE_REG = 1 << 4, 1 << 5, 1 << 7, 1 << 8
_READ = _READ_FILE | _READ_DIR
_WRITE = _WRITE_FILE | _TRUNCATE | _REMOVE_DIR | _REMOVE_FILE | _MAKE_DIR | _MAKE_REG
_ALL_FILES = (1 << 15) - 1  # all of version 3, running programs among them
_ALL_TCP, _TCP_VERSION = 0b11, 4
_DEVICE_CALLS, _DEVICE_CALLS_VERSION = 1 << 15, 5
_OTHERS, _OTHERS_VERSION = 0b11, 6  # abstract sockets and signals of processes outside

_LOAD, _EQUAL, _AT_LEAST, _HAS_BITS, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16  # offsets in seccomp_data
_ALLOW, _KILL, _REFUSE = 0x7FFF0000, 0x80000000, 0x00050000
_X86_64, _X32 = 0xC000003E, 0x40000000
_CLONE, _CLONE3, _TGKILL, _PRLIMIT = 56, 435, 234, 302
_CLONE_THREAD = 0x10000

# Numbers of system calls of x86-64, from the kernel's table.
_SOCKETS = (41, 42, 43, 44, 46, 49, 50, 53, 288, 307, 425, 426, 427)  # and io_uring, which makes them too
_PROCESSES = (57, 58, 59, 322, 101, 310, 311, 434, 438, 440, 448, 312)  # fork, exec, ptrace, others' memory, pidfd
_SIGNALS = (62, 200, 129, 297, 424)
_PRIORITIES = (141, 142, 144, 203, 251, 314, 256, 279)
_SESSIONS = (109, 112)
_FILES = (90, 91, 92, 93, 94, 132, 188, 189, 190, 197, 198, 199, 235, 260, 261, 268, 280, 452, 463, 466)  # mode, owner…
_SYSTEM = (155, 161, 165, 166, 167, 168, 169, 175, 176, 246, 272, 308, 313, 320, 428, 429, 430, 431, 432, 442)
_KERNEL = (248, 249, 250, 298, 321, 323)  # keys, perf, bpf, userfaultfd
_SHARED = (29, 30, 64, 68, 240)  # memory and queues of System V and POSIX
_REFUSED = _SOCKETS + _PROCESSES + _SIGNALS + _PRIORITIES + _SESSIONS + _FILES + _SYSTEM + _KERNEL + _SHARED

_SYSTEM_PLACES = (
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/lib",
    "/usr/share/zoneinfo",
    "/lib",
    "/lib64",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/proc/self",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/stat",
    "/sys/devices/system",
    "/dev/urandom",
    "/dev/null",
)


def why_not() -> str:
    """Why processes cannot be confined here; "" where they can."""
    if sys.platform != "linux" or platform.machine() != _MACHINE:
        return f"the sandbox needs Linux on {_MACHINE}, and this is {platform.system()} on {platform.machine()}"
    version = _libc().syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(1))
    if version < _LEAST_LANDLOCK:
        return "the sandbox needs Landlock as of Linux 6.2, and this system has " + (
            f"version {version} of it" if version > 0 else "none"
        )
    return ""


def confine(readable: Iterable[Path], scratch: Path, *, file_size: int) -> None:
    """Give up everything but computing; called by the only thread of a process.

    Args:
        readable: files and folders that stay readable, beside the interpreter's and the system's libraries.
        scratch: the folder that stays writable.
        file_size: bytes that a file may grow to.

    Raises:
        OSError: the system does not do it; the process must then end.
    """
    if threading.active_count() != 1 or (problem := why_not()):
        raise OSError(errno.ENOSYS, problem if threading.active_count() == 1 else "other threads run already")
    libc = _libc()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, file_size))
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 1024))
    _done(libc.prctl(_PR_SET_DEATH_SIGNAL, _SIGKILL, 0, 0, 0))
    _done(libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0))
    _done(libc.prctl(_PR_SET_NO_NEW_PRIVILEGES, 1, 0, 0, 0))
    _landlock(libc, [*map(Path, _SYSTEM_PLACES), *readable], scratch)
    header, no_capabilities = struct.pack("=Ii", 0x20080522, 0), bytes(24)
    _done(libc.syscall(_CAPSET, header, no_capabilities))
    _seccomp(libc)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _done(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def _landlock(libc: ctypes.CDLL, readable: Sequence[Path], scratch: Path) -> None:
    version = _done(libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(1)))
    files = _ALL_FILES | (_DEVICE_CALLS if version >= _DEVICE_CALLS_VERSION else 0)
    wanted = [files, _ALL_TCP if version >= _TCP_VERSION else 0, _OTHERS if version >= _OTHERS_VERSION else 0]
    known = 1 + (version >= _TCP_VERSION) + (version >= _OTHERS_VERSION)
    rules = struct.pack(f"={known}Q", *wanted[:known])
    ruleset = _done(libc.syscall(_CREATE_RULESET, rules, ctypes.c_size_t(len(rules)), ctypes.c_uint32(0)))
    for place in readable:
        _allow(libc, ruleset, place, _READ)
    _allow(libc, ruleset, Path("/dev/null"), _READ | _WRITE_FILE)
    _allow(libc, ruleset, scratch, _READ | _WRITE)
    _done(libc.syscall(_RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint32(0)))
    os.close(ruleset)


def _allow(libc: ctypes.CDLL, ruleset: int, place: Path, rights: int) -> None:
    with suppress(FileNotFoundError, NotADirectoryError, PermissionError):  # what is not there needs no permission
        handle = os.open(place, os.O_PATH | os.O_CLOEXEC)
        try:
            if not place.is_dir():
                rights &= _READ_FILE | _WRITE_FILE | _TRUNCATE
            rule = struct.pack("=Qi", rights, handle)
            _done(libc.syscall(_ADD_RULE, ctypes.c_int(ruleset), _PATH_BENEATH, rule, ctypes.c_uint32(0)))
        finally:
            os.close(handle)


def _seccomp(libc: ctypes.CDLL) -> None:
    def step(code: int, value: int, yes: int = 0, no: int = 0) -> bytes:
        return struct.pack("=HBBI", code, yes, no, value & 0xFFFFFFFF)

    refuse = step(_RETURN, _REFUSE | errno.EPERM)
    load_number = step(_LOAD, _NUMBER)
    program = [step(_LOAD, _ARCHITECTURE), step(_EQUAL, _X86_64, 1), step(_RETURN, _KILL), load_number]
    program += [step(_AT_LEAST, _X32, 0, 1), refuse]
    for number in _REFUSED:
        program += [step(_EQUAL, number, 0, 1), refuse]
    program += [step(_EQUAL, _CLONE3, 0, 1), step(_RETURN, _REFUSE | errno.ENOSYS)]  # the C library then uses clone
    argument = step(_LOAD, _FIRST_ARGUMENT)
    # Threads may be made, and get signals of their own process; limits are one's own.
    program += [step(_EQUAL, _CLONE, 0, 3), argument, step(_HAS_BITS, _CLONE_THREAD, 1), refuse, load_number]
    program += [step(_EQUAL, _TGKILL, 0, 3), argument, step(_EQUAL, os.getpid(), 1), refuse, load_number]
    program += [step(_EQUAL, _PRLIMIT, 0, 3), argument, step(_EQUAL, 0, 1), refuse, step(_RETURN, _ALLOW)]
    code = ctypes.create_string_buffer(b"".join(program))
    filters = struct.pack("=H6xQ", len(program), ctypes.addressof(code))
    _done(libc.syscall(_SECCOMP, ctypes.c_uint32(1), ctypes.c_uint32(0), filters))
