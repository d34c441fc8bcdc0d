"""The sandbox's inner side: a script that puts up the walls and runs one program within them.

Started by `sandbox.py` as a process of its own and imported by nobody, on the standard library
alone, so that it is there in milliseconds under `python -I -S`. Reads an order (JSON) from its
standard input and leaves a report (JSON) at the descriptor named by its argument.

Three processes deep: this one waits outside; its child is the first process of a new process
namespace, so that the kernel kills all others there when it ends; the steps are its children.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import sys
from typing import Any

_CLONE_NEWNS, _CLONE_NEWIPC, _CLONE_NEWUSER = 0x00020000, 0x08000000, 0x10000000
_CLONE_NEWPID, _CLONE_NEWNET = 0x20000000, 0x40000000
_MS_NOSUID, _MS_NODEV, _MS_BIND, _MS_REC, _MS_PRIVATE = 0x2, 0x4, 0x1000, 0x4000, 0x40000
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38
_SYS_MOUNT_SETATTR = 442  # The same on every architecture; Linux 5.12.
_AT_FDCWD, _AT_RECURSIVE, _MOUNT_ATTR_RDONLY = -100, 0x8000, 0x1
_WORK = "/tmp"
# The limit on processes counts by user, so each program is a user that nobody else is.
_FIRST_USER_ID = 1_000_000

_libc = ctypes.CDLL(None, use_errno=True)


class _MountAttributes(ctypes.Structure):
    _fields_ = [
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    ]


def main() -> None:
    """Carry the order out. Leaves no report where it is killed on the way."""
    order = json.loads(sys.stdin.buffer.read())
    report_fd = int(sys.argv[1])
    os.set_inheritable(report_fd, False)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    _die_with_parent()
    try:
        _enter_namespaces()
    except OSError as error:
        _report(report_fd, {"fault": f"no namespaces: {error}"})
        return
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    try:
        _die_with_parent()
        _hide_and_seal(order["hidden"], order["visible"], order["work_bytes"])
        for name, text in order["files"].items():
            _write_file(os.path.join(_WORK, name), text)
        _report(report_fd, _run_steps(order))
    except OSError as error:
        _report(report_fd, {"fault": f"no walls: {error}"})
    finally:
        os._exit(0)


def _enter_namespaces() -> None:
    """Leave the network, mounts and processes of the rest: as root, or in a user namespace."""
    flags = _CLONE_NEWNS | _CLONE_NEWNET | _CLONE_NEWPID | _CLONE_NEWIPC
    user_id, group_id = os.getuid(), os.getgid()
    if user_id == 0:
        _check(_libc.unshare(flags), "unshare")
        return
    _check(_libc.unshare(flags | _CLONE_NEWUSER), "unshare")
    for name, line in (
        ("setgroups", "deny"),
        ("uid_map", f"{user_id} {user_id} 1"),
        ("gid_map", f"{group_id} {group_id} 1"),
    ):
        _write_file(f"/proc/self/{name}", line)


def _hide_and_seal(hidden: list[str], visible: list[str], work_bytes: int) -> None:
    """Cover the hidden folders but for the visible ones; make all but the work read-only."""
    _mount(None, "/", None, _MS_REC | _MS_PRIVATE)
    kept = {path: os.open(path, os.O_PATH | os.O_DIRECTORY) for path in visible}
    for folder in (*hidden, _WORK):
        _mount("tmpfs", folder, "tmpfs", _MS_NOSUID | _MS_NODEV, f"size={work_bytes},mode=0777")
        for path, descriptor in kept.items():
            if path.startswith(folder.rstrip("/") + "/"):
                os.makedirs(path, exist_ok=True)
                _mount(f"/proc/self/fd/{descriptor}", path, None, _MS_BIND | _MS_REC)
    for descriptor in kept.values():
        os.close(descriptor)
    _mount("proc", "/proc", "proc", _MS_NOSUID | _MS_NODEV)
    _set_attributes("/", _AT_RECURSIVE, attr_set=_MOUNT_ATTR_RDONLY)
    _set_attributes(_WORK, 0, attr_clr=_MOUNT_ATTR_RDONLY)


def _run_steps(order: dict[str, Any]) -> dict[str, object]:
    """Run the steps in turn until one fails; its index and how it ended (128 + a signal)."""
    code = n_done = 0
    for arguments in order["steps"]:
        step = os.fork()
        if step == 0:
            try:
                _confine(order["limits"])
                os.chdir(_WORK)
                os.execve(arguments[0], arguments, order["environment"])
            finally:
                os._exit(127)
        code = _wait_for(step)
        n_done += 1
        if code != 0:
            break
    return {"step": n_done - 1, "code": code}


def _wait_for(step: int) -> int:
    """The step's exit code; orphans that end meanwhile are taken care of too."""
    while True:
        process, status = os.wait()
        if process == step:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def _confine(limits: dict[str, int]) -> None:
    """Bound this process and what it becomes, and give up every privilege."""
    for name, limit in (
        (resource.RLIMIT_DATA, limits["memory_bytes"]),
        (resource.RLIMIT_FSIZE, limits["file_bytes"]),
        (resource.RLIMIT_NOFILE, 512),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(name, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CPU, (limits["cpu_s"], limits["cpu_s"] + 1))
    if os.getuid() == 0:
        user_id = _FIRST_USER_ID + os.getppid() + limits["serial"]
        os.setgroups([])
        os.setresgid(user_id, user_id, user_id)
        os.setresuid(user_id, user_id, user_id)
    n_processes = limits["n_processes"]
    resource.setrlimit(resource.RLIMIT_NPROC, (n_processes, n_processes))
    _check(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl")


def _die_with_parent() -> None:
    _check(_libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0), "prctl")


def _mount(
    source: str | None, target: str, kind: str | None, flags: int, options: str | None = None
) -> None:
    encoded = [None if part is None else os.fsencode(part) for part in (source, target, kind)]
    data = None if options is None else options.encode()
    _check(_libc.mount(*encoded, ctypes.c_ulong(flags), data), f"mount {target}")


def _set_attributes(target: str, flags: int, *, attr_set: int = 0, attr_clr: int = 0) -> None:
    attributes = _MountAttributes(attr_set=attr_set, attr_clr=attr_clr)
    done = _libc.syscall(
        ctypes.c_long(_SYS_MOUNT_SETATTR),
        ctypes.c_int(_AT_FDCWD),
        os.fsencode(target),
        ctypes.c_uint(flags),
        ctypes.byref(attributes),
        ctypes.c_size_t(ctypes.sizeof(attributes)),
    )
    _check(done, f"mount_setattr {target}")


def _check(done: int, what: str) -> None:
    if done != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def _write_file(path: str, text: str) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def _report(report_fd: int, report: dict[str, object]) -> None:
    os.write(report_fd, json.dumps(report).encode())


if __name__ == "__main__":
    main()
