"""Processes as the kernel sees them: children, and the event of their end."""

import contextlib
import os
import select
import signal
import time


def children(pid):
    """Process ids of the children of a process."""
    found = []
    for task in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as file:
                found += [int(word) for word in file.read().split()]
        except FileNotFoundError:
            pass  # That thread has ended meanwhile.
    return found


def resident_bytes(pid):
    """Resident memory of a process."""
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def proportional_bytes(pid):
    """The process's share of resident memory: what several have in common counts for each in part."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        (line,) = (line for line in file if line.startswith("Pss:"))
    return int(line.split()[1]) << 10


def cpu_seconds(pid):
    """Processor time that a process has taken."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        user, system = file.read().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def stop(pid, timeout=60):
    """Stops a process (SIGSTOP), and returns when its last thread stands still: each does so when it
    next gets a core.
    """
    os.kill(pid, signal.SIGSTOP)
    deadline = time.monotonic() + timeout
    while not all(_is_stopped(pid, task) for task in os.listdir(f"/proc/{pid}/task")):
        if time.monotonic() > deadline:
            raise AssertionError(f"process {pid} did not stop")
        os.sched_yield()


def _is_stopped(pid, task):
    with open(f"/proc/{pid}/task/{task}/stat", encoding="ascii") as file:
        # The state comes after the name, which may hold anything.
        return file.read().rpartition(")")[2].split()[0] == "T"


class Watch:
    """Watches processes for their end, children or not, however they end; also such as have ended
    since somebody listed them.
    """

    def __init__(self, pids):
        self._fds = {}
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                self._fds[pid] = os.pidfd_open(pid)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for fd in self._fds.values():
            os.close(fd)

    def wait(self, timeout):
        """Waits until all have ended; the ids of those that have not after `timeout` seconds."""
        poll = select.poll()
        waiting = {fd: pid for pid, fd in self._fds.items()}
        for fd in waiting:
            poll.register(fd, select.POLLIN)
        while waiting:
            events = poll.poll(timeout * 1000)
            if not events:
                break
            for fd, _ in events:
                poll.unregister(fd)
                del waiting[fd]
        return list(waiting.values())
