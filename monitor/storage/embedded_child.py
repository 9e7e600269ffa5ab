"""Run as a script: gives up root, ties itself to its parent's life and becomes PostgreSQL.

A script of its own instead of a `preexec_fn`: between fork and exec of a process with threads nothing may be
done but exec. It imports all it needs before it drops its rights, since the interpreter may lie where only
root can read.
"""

import ctypes
import os
import sys

_PR_SET_PDEATHSIG = 1


def become(parent: int, uid: int, gid: int, groups: list[int], death_signal: int, argv: list[str]) -> None:
    """Replace this process by `argv`.

    Args:
        parent: the process that must live; when it is gone already, nothing is started.
        uid: the account to become, negative to stay.
        gid: its group.
        groups: its further groups.
        death_signal: what the kernel sends when the parent dies (Linux).
        argv: the program and its arguments.
    """
    if uid >= 0:
        os.setgroups(groups)
        os.setgid(gid)
        os.setuid(uid)
    os.umask(0o077)
    if sys.platform == "linux":
        # After the change of account, which clears it.
        ctypes.CDLL(None).prctl(
            *(ctypes.c_ulong(word) for word in (_PR_SET_PDEATHSIG, death_signal, 0, 0, 0))
        )
        if os.getppid() != parent:
            sys.exit("the process that wanted PostgreSQL is gone")
    os.execv(argv[0], argv)  # noqa: S606


if __name__ == "__main__":
    _parent, _uid, _gid, _groups, _signal = sys.argv[1:6]
    try:
        become(
            int(_parent),
            int(_uid),
            int(_gid),
            [int(group) for group in _groups.split(",") if group],
            int(_signal),
            sys.argv[6:],
        )
    except OSError as error:
        sys.exit(f"cannot run {sys.argv[6]} as account {_uid}: {error}")
