"""Workers that die: the server sees it at once, starts them again, and goes on."""

import os
import unittest

import grpc
import harness
import numpy as np
from harness import protos
from harness.processes import Watch, children
from harness.recovery import kill, wait_for_restart, worker
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
        repository.synthetic("bad_shape", parameters={"mode": "bad_shape"})
        repository.synthetic("every_second", parameters={"mode": "fail", "fail_every": 2})
        self.server = self.enterContext(Server(repository.path))

    def infer(self, model):
        return self.server.infer.ModelInfer(infer_request(model, {"INPUT0": ROW}), timeout=TIMEOUT)

    def test_a_killed_worker_is_seen_at_once_and_started_again(self):
        dead = worker(self.server, "cpu").pid
        kill(dead)
        # As the other pool's worker is another process, it never noticed.
        np.testing.assert_array_equal(infer_outputs(self.infer("deep"))["OUTPUT0"], ROW)
        back = wait_for_restart(self.server, 1)
        self.assertNotEqual(back.pid, dead)
        self.assertIn("SIGKILL", back.last_exit)
        np.testing.assert_array_equal(infer_outputs(self.infer("light"))["OUTPUT0"], ROW)
        self.assertEqual(worker(self.server, "gpu").restarts, 0)

    def test_the_server_is_not_ready_while_all_workers_of_a_kind_are_down(self):
        request = protos.message("inference.ServerReadyRequest")()

        def ready():
            return self.server.infer.ServerReady(request, timeout=TIMEOUT).ready

        seen = []
        # The wait before a restart doubles with each death: sooner or later a question falls into it.
        for deaths in range(1, 6):
            kill(worker(self.server).pid)
            while worker(self.server).restarts < deaths:
                seen.append(ready())
            wait_for_restart(self.server, deaths)
            if False in seen:
                break
        self.assertIn(False, seen)
        self.assertTrue(ready())

    def test_each_of_many_deaths_is_survived(self):
        for number in range(1, 4):
            kill(worker(self.server, "gpu").pid)
            wait_for_restart(self.server, number, "gpu")
            np.testing.assert_array_equal(infer_outputs(self.infer("deep"))["OUTPUT0"], ROW)

    def test_outputs_that_do_not_fit_the_model_are_an_error_of_the_model(self):
        with self.assertRaises(grpc.RpcError) as raised:
            self.infer("bad_shape")
        self.assertEqual(raised.exception.code(), grpc.StatusCode.INTERNAL)
        self.assertIn("bad_shape", raised.exception.details())
        self.assertIn("OUTPUT0", raised.exception.details())
        self.assertEqual(worker(self.server).restarts, 0)

    def test_a_batch_that_fails_fails_alone(self):
        codes = []
        for _ in range(4):
            call = self.server.infer.ModelInfer.future(
                infer_request("every_second", {"INPUT0": ROW}), timeout=TIMEOUT
            )
            codes.append(call.code())
        self.assertEqual(codes, [grpc.StatusCode.OK, grpc.StatusCode.INTERNAL] * 2)

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
