"""The machine runs out of what the server needs: descriptors, room on the disk. It serves on, and takes
more when there is more.
"""

import os
import re
import resource
import signal
import socket
import subprocess
import unittest

import grpc
import harness
import numpy as np
from harness import build_path
from harness.load import Load
from harness.recovery import kill, metric, wait_for_restart, worker
from harness.repository import Repository
from harness.server import CPU_POOL, STOP_SECONDS, Server
from harness.tensors import infer_request

TIMEOUT = 60
NOBODY = 65534
MANY = 1000
ROW = np.array([[1, 2, 3, 4]], dtype=np.float32)


# UndefinedBehaviorSanitizer opens a descriptor to look at an object, and takes the want of one for a fault.
needs_no_descriptors = unittest.skipIf(
    "TANDEM_SANITIZED" in os.environ, "the sanitizer itself needs descriptors"
)


class ScarcityTest(unittest.TestCase):
    def setUp(self):
        self.repository = self.enterContext(Repository())
        self.repository.synthetic("m", extra="dynamic_batching { }")

    def code(self, server):
        request = infer_request("m", {"INPUT0": ROW})
        return server.infer.ModelInfer.future(request, timeout=TIMEOUT).code()

    def take_descriptors(self, server):
        """Leaves the running server no descriptor: its limit is set to what it has open. Returns its
        limits before.
        """
        pid = server.process.pid
        highest = max(int(fd) for fd in os.listdir(f"/proc/{pid}/fd"))
        limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (highest + 1, limits[1]))
        return limits

    def give_back(self, server, limits):
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, limits)

    def connect(self, server):
        return self.enterContext(socket.create_connection(("127.0.0.1", server.ports["grpc"])))

    @needs_no_descriptors
    def test_without_descriptors_old_connections_are_served_and_new_ones_later(self):
        server = self.enterContext(Server(self.repository.path, (CPU_POOL,)))
        with Load(server.address, "m") as load:
            # Its own connections first.
            load.wait_for_more(50)
            limits = self.take_descriptors(server)
            # The gaps between the descriptors that are open, and more.
            for _ in range(64):
                self.connect(server)
            load.wait_for_more(50)
            self.give_back(server, limits)
            load.wait_for_more(50)
        self.assertEqual(load.failures, [])
        with Load(server.address, "m", clients=1, connection_each=True) as fresh:
            fresh.wait_for_more(5)
        self.assertEqual(fresh.failures, [])

    @needs_no_descriptors
    def test_a_worker_that_dies_while_there_are_no_descriptors_comes_back_when_there_are(self):
        server = self.enterContext(Server(self.repository.path, (CPU_POOL,)))
        # Asked first: the connection of this client must be there before there are no descriptors.
        pid = worker(server).pid
        limits = self.take_descriptors(server)
        kill(pid)
        call = server.infer.ModelInfer.future(infer_request("m", {"INPUT0": ROW}), timeout=TIMEOUT)
        server.wait_for_log("cannot be started")
        self.give_back(server, limits)
        self.assertEqual(call.code(), grpc.StatusCode.OK)
        wait_for_restart(server, 1)

    def as_nobody(self):
        """A server of a user who has no other processes: the limit of processes, which counts threads, holds
        for all of a user's, and not for root's.
        """
        if os.geteuid() != 0:
            self.skipTest("only root can start a server as another user")
        server = Server(self.repository.path, (CPU_POOL,))
        server.user = NOBODY
        os.chmod(os.path.dirname(server.log_path), 0o777)
        os.chmod(self.repository.path, 0o755)
        try:
            subprocess.run([build_path("tandem"), "--help"], user=NOBODY, check=True, capture_output=True)
        except PermissionError:
            self.skipTest("other users cannot run this build")
        return self.enterContext(server)

    @staticmethod
    def limit_threads(pid, most):
        """By its own user, who needs no privilege for that."""
        command = ["prlimit", f"--pid={pid}", f"--nproc={most}:{MANY}"]
        subprocess.run(command, user=NOBODY, check=True)

    # gRPC leaks the little that it had for a thread of its own.
    @unittest.skipIf("TANDEM_SANITIZED" in os.environ, "a thread that gRPC does not get is a leak")
    def test_a_worker_that_dies_while_there_are_no_threads_comes_back_when_there_are(self):
        # None for the worker's process, for the thread that waits for it, and for its own.
        for spare in range(4):
            with self.subTest(spare=spare):
                server = self.as_nobody()
                pid, of_server = worker(server).pid, server.process.pid
                threads = len(os.listdir(f"/proc/{of_server}/task"))
                self.limit_threads(of_server, threads + spare)
                kill(pid)
                request = infer_request("m", {"INPUT0": ROW})
                call = server.infer.ModelInfer.future(request, timeout=TIMEOUT)
                server.wait_for_log(re.compile("cannot be started|gives it no threads").search)
                self.limit_threads(of_server, MANY)
                self.assertEqual(call.code(), grpc.StatusCode.OK)
                # Without its goodbye: gRPC waits at its end for a thread that it never got.
                server.process.kill()
                server.process.wait()

    def limited(self, soft, hard, *flags):
        """A server with these limits of descriptors."""
        server = Server(self.repository.path, (CPU_POOL, *flags))
        limits = f'ulimit -Sn {soft} && ulimit -Hn {hard} && exec "$@"'
        server.command = ["sh", "-c", limits, "sh", *server.command]
        return self.enterContext(server)

    def test_the_server_takes_all_descriptors_that_it_may_have(self):
        server = self.limited(128, 1000)
        limits = resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE)
        self.assertEqual(limits, (1000, 1000))

    def test_silent_connections_keep_neither_clients_nor_workers_out(self):
        server = self.limited(128, 200)
        pid = worker(server).pid
        for _ in range(300):
            self.connect(server)
        kill(pid)
        with Load(server.address, "m", clients=2, connection_each=True) as fresh:
            fresh.wait_for_more(20)
        self.assertEqual(fresh.failures, [])
        wait_for_restart(server, 1)
        self.assertIn("--max-connections", server.log())
        self.assertGreater(metric(server, "tandem_connections_shut_down_total"), 0)

    def test_clients_that_ask_keep_their_connections_where_idle_ones_are_too_many(self):
        server = self.limited(4096, 4096, "--max-connections=16")
        with Load(server.address, "m") as load:
            for _ in range(40):
                self.connect(server)
            with Load(server.address, "m", clients=2, connection_each=True) as fresh:
                fresh.wait_for_more(20)
        self.assertEqual(load.failures + fresh.failures, [])
        self.assertLessEqual(metric(server, "tandem_connections"), 16)

    def test_a_disk_without_room_for_the_log_changes_nothing(self):
        server = Server(self.repository.path, (CPU_POOL, "--log-level=debug"))
        os.symlink("/dev/full", server.log_path)
        server.log = lambda: "the log is on a full disk"
        with server:
            self.assertEqual(self.code(server), grpc.StatusCode.OK)
            server.process.send_signal(signal.SIGHUP)
            kill(worker(server).pid)
            self.assertEqual(self.code(server), grpc.StatusCode.OK)
            server.process.send_signal(signal.SIGTERM)
            self.assertEqual(server.process.wait(STOP_SECONDS), 0)


if __name__ == "__main__":
    harness.main()
