"""Workers that die: the server sees it at once, answers, starts them again, and goes on."""

import os
import signal
import unittest

import grpc
import numpy as np

import harness
from harness.processes import Watch, children
from harness.repository import Repository
from harness.server import Server
from harness.tensors import infer_outputs, infer_request

TIMEOUT = 60
ROW = np.array([[1, 2, 3, 4]], dtype=np.float32)


class WorkersTest(unittest.TestCase):
    def setUp(self):
        repository = self.enterContext(Repository())
        repository.synthetic("light")
        repository.synthetic("deep", kinds=["KIND_GPU"])
        # Longer than any test: its requests end because their worker is killed.
        repository.synthetic("endless", parameters={"alpha_us": 600_000_000})
        self.server = self.enterContext(Server(repository.path))

    def worker(self, pool):
        """Status of the first worker of a pool."""
        (status,) = (p for p in self.server.status().pools if p.name == pool)
        return status.workers[0]

    def infer(self, model):
        return self.server.infer.ModelInfer(infer_request(model, {"INPUT0": ROW}), timeout=TIMEOUT)

    def kill(self, pid):
        with Watch([pid]) as watch:
            os.kill(pid, signal.SIGKILL)
            self.assertEqual(watch.wait(TIMEOUT), [])

    def wait_until_back(self, pool, dead):
        """Waits for the models of a pool, by events of the health service; the status of its new worker."""
        self.server.watch_health("light" if pool == "cpu" else "deep", "SERVING")
        worker = self.worker(pool)
        self.assertNotEqual(worker.pid, dead)
        return worker

    def test_a_killed_worker_is_seen_at_once_and_started_again(self):
        dead = self.worker("cpu").pid
        call = self.server.infer.ModelInfer.future(
            infer_request("endless", {"INPUT0": ROW}), timeout=TIMEOUT
        )
        # An answer that came over the other lane: the request before it has been read by then.
        self.infer("light")
        self.kill(dead)
        error = call.exception(timeout=TIMEOUT)
        self.assertEqual(error.code(), grpc.StatusCode.UNAVAILABLE, error)
        self.assertIn("endless", error.details())
        # As the other pool's worker is another process, it never noticed.
        np.testing.assert_array_equal(infer_outputs(self.infer("deep"))["OUTPUT0"], ROW)
        worker = self.wait_until_back("cpu", dead)
        self.assertEqual(worker.state, "ready")
        self.assertEqual(worker.restarts, 1)
        self.assertIn("SIGKILL", worker.last_exit)
        np.testing.assert_array_equal(infer_outputs(self.infer("light"))["OUTPUT0"], ROW)
        self.assertEqual(self.worker("gpu").restarts, 0)

    def test_requests_fail_with_unavailable_until_the_worker_is_back_then_succeed(self):
        dead = self.worker("cpu").pid
        self.kill(dead)
        codes = []
        while not codes or codes[-1] != grpc.StatusCode.OK:
            try:
                self.infer("light")
                codes.append(grpc.StatusCode.OK)
            except grpc.RpcError as error:
                codes.append(error.code())
            self.assertIn(codes[-1], (grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE))
        self.wait_until_back("cpu", dead)

    def test_each_of_many_deaths_is_survived(self):
        for number in range(1, 4):
            dead = self.worker("gpu").pid
            self.kill(dead)
            self.wait_until_back_after(number)
            np.testing.assert_array_equal(infer_outputs(self.infer("deep"))["OUTPUT0"], ROW)

    def wait_until_back_after(self, restarts):
        """Waits, by requests that the server answers, until the worker has been started again so often."""
        while True:
            worker = self.worker("gpu")
            if worker.restarts >= restarts and worker.state == "ready":
                break
        self.server.watch_health("deep", "SERVING")

    def test_no_worker_survives_the_death_of_the_server(self):
        workers = children(self.server.process.pid)
        self.assertEqual(len(workers), 2)
        with Watch(workers) as watch:
            self.server.process.kill()
            self.server.process.wait()
            self.assertEqual(watch.wait(TIMEOUT), [])

    def test_no_worker_survives_the_death_of_the_server_in_mid_request(self):
        call = self.server.infer.ModelInfer.future(
            infer_request("endless", {"INPUT0": ROW}), timeout=TIMEOUT
        )
        self.infer("light")
        with Watch(children(self.server.process.pid)) as watch:
            self.server.process.kill()
            self.server.process.wait()
            self.assertEqual(watch.wait(TIMEOUT), [])
        self.assertEqual(call.exception(timeout=TIMEOUT).code(), grpc.StatusCode.UNAVAILABLE)

    def test_workers_hold_no_descriptor_of_the_servers_sockets(self):
        listening = set()
        for name in ("tcp", "tcp6"):
            with open(f"/proc/{self.server.process.pid}/net/{name}", encoding="ascii") as file:
                listening |= {line.split()[9] for line in file.readlines()[1:] if " 0A " in line}
        for pid in children(self.server.process.pid):
            for fd in os.listdir(f"/proc/{pid}/fd"):
                target = os.readlink(f"/proc/{pid}/fd/{fd}")
                if target.startswith("socket:["):
                    self.assertNotIn(target[len("socket:[") : -1], listening)

    def test_memory_between_the_processes_has_no_name(self):
        for pid in children(self.server.process.pid):
            with open(f"/proc/{pid}/maps", encoding="utf-8") as file:
                shared = [line for line in file if "/dev/shm/" in line]
            self.assertEqual(shared, [])


if __name__ == "__main__":
    harness.main()
