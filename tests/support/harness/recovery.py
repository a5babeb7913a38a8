"""What a test of faults asks of a running server: its workers, its metrics, and what it holds of the
machine.
"""

import os
import re
import signal
import time
import urllib.request

from harness.processes import Watch, children

TIMEOUT = 60


def worker(server, pool="cpu", index=0):
    """Status of one worker of a pool."""
    (status,) = (p for p in server.status().pools if p.name == pool)
    return status.workers[index]


def kill(pid, number=signal.SIGKILL):
    """Sends a signal that ends a process, and waits for its end."""
    with Watch([pid]) as watch:
        os.kill(pid, number)
        left = watch.wait(TIMEOUT)
    assert not left, f"the process did not end: {left}"


def wait_until(server, condition, what):
    """Asks the server for its status until the condition on it holds; returns that status."""
    deadline = time.monotonic() + TIMEOUT
    with server.news() as wait:
        while time.monotonic() < deadline:
            status = server.status()
            if condition(status):
                return status
            wait()
    raise AssertionError(f"not seen in time: {what}; {server.status()}")


def wait_for_restart(server, restarts, pool="cpu"):
    """Waits until the pool's first worker has been started again so often and all its models are
    back; its status.
    """

    def is_back(status):
        (found,) = (p.workers[0] for p in status.pools if p.name == pool)
        loaded = all(model.state == "READY" for model in status.models)
        return found.restarts >= restarts and found.state == "ready" and loaded

    status = wait_until(server, is_back, f"{restarts} restarts")
    (found,) = (p.workers[0] for p in status.pools if p.name == pool)
    assert found.restarts == restarts, f"the worker was started again too often: {found}"
    return found


def metric(server, name, **labels):
    """Sum of the samples of a metric whose labels hold all the given ones."""
    url = f"http://127.0.0.1:{server.ports['metrics']}/metrics"
    with urllib.request.urlopen(url, timeout=TIMEOUT) as reply:
        text = reply.read().decode()
    total = 0.0
    for line in text.splitlines():
        found = re.match(r"(\w+)(?:\{(.*)\})? (\S+)", line)
        if not found or found.group(1) != name:
            continue
        have = dict(re.findall(r'(\w+)="([^"]*)"', found.group(2) or ""))
        if all(have.get(key) == value for key, value in labels.items()):
            total += float(found.group(3))
    return total


def own_threads(pid):
    """Threads of a server but gRPC's, which have names of their own and come with the load."""
    names = []
    for task in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{task}/comm", encoding="utf-8") as file:
                names.append(file.read().strip())
        except FileNotFoundError:
            pass  # It has ended meanwhile.
    return names.count("tandem")


def footprint(server):
    """What the server holds of the machine: processes, descriptors, threads, and mappings of the
    memory that it shares with its workers.
    """
    pid = server.process.pid
    with open(f"/proc/{pid}/maps", encoding="utf-8") as file:
        shared = sum("/memfd:" in line for line in file)
    return {
        "children": len(children(pid)),
        "descriptors": len(os.listdir(f"/proc/{pid}/fd")),
        "threads": own_threads(pid),
        "shared mappings": shared,
    }


def wait_for_footprint(server, wanted):
    """Waits until the server holds no more than that. What a death left may take a moment to go:
    the last reply's memory, a connection that was closed.
    """
    deadline = time.monotonic() + TIMEOUT
    with server.news() as wait:
        while True:
            found = footprint(server)
            if all(found[key] <= wanted[key] for key in wanted) and (
                found["children"] == wanted["children"]
            ):
                return
            assert time.monotonic() < deadline, f"the server held {wanted}, and now {found}"
            wait()
