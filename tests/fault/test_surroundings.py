"""What the server's machine does under it: the clock is set back, names are resolved no more. It serves
on, and its deadlines, restarts and metrics keep the time that passes.
"""

import glob
import os
import subprocess
import tempfile
import time
import unittest

import grpc
import harness
import numpy as np
from harness.load import Load
from harness.recovery import kill, metric, wait_for_restart, worker
from harness.repository import Repository
from harness.server import CPU_POOL, Server
from harness.tensors import infer_request

TIMEOUT = 60
ROW = np.array([[1, 2, 3, 4]], dtype=np.float32)
LIBFAKETIME = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")


def can_mount():
    """Whether a process of ours may have mounts of its own."""
    return subprocess.run(
        ["unshare", "--map-root-user", "--mount", "true"], capture_output=True, check=False
    ).returncode == 0


class SurroundingsTest(unittest.TestCase):
    def setUp(self):
        self.repository = self.enterContext(Repository())
        self.repository.synthetic("m", extra="dynamic_batching { }")
        self.repository.synthetic("slow", parameters={"alpha_us": 60_000_000})
        self.folder = self.enterContext(tempfile.TemporaryDirectory())

    def write(self, name, text):
        """A file of that text, or another text in its place: never half of one."""
        path = os.path.join(self.folder, name)
        with open(path + ".new", "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(path + ".new", path)
        return path

    def check_serving(self, server, load):
        """Requests are answered, a deadline ends when it should, a worker comes back, metrics count."""
        load.wait_for_more(100)
        began = time.monotonic()
        call = server.infer.ModelInfer.future(infer_request("slow", {"INPUT0": ROW}), timeout=1)
        self.assertEqual(call.code(), grpc.StatusCode.DEADLINE_EXCEEDED)
        self.assertLess(time.monotonic() - began, TIMEOUT / 2)
        restarts = worker(server).restarts
        kill(worker(server).pid)
        wait_for_restart(server, restarts + 1)
        load.wait_for_more(100)
        answered = load.answered
        counted = metric(server, "nv_inference_request_success", model="m")
        self.assertGreaterEqual(counted, answered)

    def test_temporary_files_of_a_server_that_was_killed_go_with_the_next_worker(self):
        # As a worker leaves it whose server is killed with it, and what is somebody's own.
        os.makedirs(os.path.join(self.folder, "tandem-worker-1", "package"))
        os.makedirs(os.path.join(self.folder, "tandem-worker-mine"))
        server = Server(self.repository.path, ("--pool=cpu=device:cpu,processes:2",))
        server.environment["TMPDIR"] = self.folder
        with server:
            pids = [worker.pid for worker in server.status().pools[0].workers]
            self.assertEqual(
                sorted(os.listdir(self.folder)),
                sorted(["tandem-worker-mine", *(f"tandem-worker-{pid}" for pid in pids)]),
            )
        self.assertEqual(os.listdir(self.folder), ["tandem-worker-mine"])

    @unittest.skipUnless(LIBFAKETIME, "libfaketime is not installed")
    @unittest.skipIf("TANDEM_SANITIZED" in os.environ, "sanitizers must be loaded first")
    def test_the_clock_may_be_set_back_and_forth(self):
        clock = self.write("clock", "+0")
        server = Server(self.repository.path, (CPU_POOL,))
        # The time since the start is a clock that nobody sets.
        server.environment.update(
            LD_PRELOAD=LIBFAKETIME[0],
            FAKETIME_TIMESTAMP_FILE=clock,
            FAKETIME_NO_CACHE="1",
            FAKETIME_DONT_FAKE_MONOTONIC="1",
        )
        with server, Load(server.address, "m") as load:
            for change in ("+0", "-1d", "+1d"):
                with self.subTest(change=change):
                    self.write("clock", change)
                    self.check_serving(server, load)
            # The lines between were written on another day.
            yesterday = time.gmtime(time.time() - 24 * 3600)
            self.assertIn(time.strftime("%Y-%m-%d", yesterday), server.log())
        self.assertEqual(load.failures, [])

    @unittest.skipUnless(can_mount(), "a process may not have mounts of its own here")
    def test_names_need_not_be_resolved(self):
        resolver = self.write("resolv.conf", "nameserver 127.0.0.1\n")
        server = Server(self.repository.path, (CPU_POOL,))
        server.command = [
            "unshare", "--map-root-user", "--mount", "sh", "-c",
            'mount --bind "$0" /etc/resolv.conf && exec "$@"', resolver, *server.command,
        ]
        with server, Load(server.address, "m") as load:
            self.check_serving(server, load)
            with Load(server.address, "m", clients=1, connection_each=True) as fresh:
                fresh.wait_for_more(5)
        self.assertEqual(load.failures + fresh.failures, [])


if __name__ == "__main__":
    harness.main()
