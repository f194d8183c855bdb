"""Run `aura` where the system tells nobody of changed files: python without_events.py refused|silent ARGUMENTS.

`refused`: no inotify watch is left (ENOSPC). `silent`: watches are granted without any event, as on NFS, SMB and the
mounts of Docker Desktop.
"""

import ctypes
import errno
import platform
import runpy
import sys

NUMBERS = {"x86_64": 254, "aarch64": 27}
"""Of the system call inotify_add_watch."""
_NO_NEW_PRIVILEGES, _SECCOMP, _FILTER = 38, 22, 2  # of prctl(2)
_LOAD, _JUMP_EQUAL, _RETURN = 0x20, 0x15, 0x06  # of BPF
_ERRNO, _ALLOW = 0x0005_0000, 0x7FFF_0000  # of seccomp(2)


class _Instruction(ctypes.Structure):
    _fields_ = (("code", ctypes.c_ushort), ("yes", ctypes.c_ubyte), ("no", ctypes.c_ubyte), ("value", ctypes.c_uint))


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.POINTER(_Instruction)))


def answer(number: int, code: int) -> None:
    """Answer this system call with an error, or with 0, in this process and its children."""
    instructions = (_Instruction * 4)(
        (_LOAD, 0, 0, 0), (_JUMP_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ERRNO | code), (_RETURN, 0, 0, _ALLOW)
    )
    program = _Program(len(instructions), instructions)
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    for call in ((_NO_NEW_PRIVILEGES, 1, 0, 0, 0), (_SECCOMP, _FILTER, ctypes.byref(program))):
        if prctl(*call) != 0:
            raise OSError(ctypes.get_errno(), "prctl")


if __name__ == "__main__":
    answer(NUMBERS[platform.machine()], {"refused": errno.ENOSPC, "silent": 0}[sys.argv.pop(1)])
    runpy.run_module("aura_core", run_name="__main__", alter_sys=True)
