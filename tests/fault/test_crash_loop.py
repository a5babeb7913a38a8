"""Models that end their worker when they are loaded: left out, and the pool's others serve."""

import unittest

import grpc
import harness
import numpy as np
from harness.recovery import kill, metric, wait_until, worker
from harness.repository import Repository
from harness.server import Server
from harness.tensors import infer_outputs, infer_request

TIMEOUT = 60
ROW = np.array([[1, 2, 3, 4]], dtype=np.float32)


class CrashLoopTest(unittest.TestCase):
    def serve(self, **load_modes):
        repository = self.enterContext(Repository())
        repository.synthetic("a_good")
        repository.synthetic("z_good")
        repository.synthetic("deep", kinds=["KIND_GPU"])
        for name, mode in load_modes.items():
            repository.synthetic(name, parameters={"load_mode": mode})
        return self.enterContext(Server(repository.path))

    def ask(self, server, model):
        return server.infer.ModelInfer.future(
            infer_request(model, {"INPUT0": ROW}), timeout=TIMEOUT
        )

    def assert_echo(self, call):
        np.testing.assert_array_equal(infer_outputs(call.result())["OUTPUT0"], ROW)

    def wait_for_good(self, server, restarts):
        """Waits until the worker has been started so often and holds its good models."""
        return wait_until(
            server,
            lambda status: status.pools[0].workers[0].restarts == restarts
            and all(m.state == "READY" for m in status.models if m.name.endswith("good")),
            f"the good models are back after {restarts} restarts",
        )

    def test_a_model_that_crashes_at_load_is_left_out_and_the_others_serve(self):
        for mode in ("crash", "abort", "exit"):
            with self.subTest(mode):
                server = self.serve(m_bad=mode)
                self.wait_for_good(server, 2)
                for model in ("a_good", "z_good", "deep"):
                    self.assert_echo(self.ask(server, model))
                state, reason = server.index()["m_bad", "1"]
                self.assertEqual(state, "UNAVAILABLE")
                self.assertIn("left out", reason)
                error = self.ask(server, "m_bad").exception()
                self.assertEqual(error.code(), grpc.StatusCode.UNAVAILABLE)
                self.assertIn("left out", error.details())
                self.assertEqual(metric(server, "tandem_model_ready", model="m_bad"), 0)
                self.assertEqual(worker(server, "gpu").restarts, 0)

    def test_two_of_them_cost_four_restarts(self):
        server = self.serve(b_bad="crash", m_bad="crash")
        self.wait_for_good(server, 4)
        self.assert_echo(self.ask(server, "z_good"))

    def test_a_worker_that_is_killed_later_comes_back_without_it(self):
        server = self.serve(m_bad="crash")
        self.wait_for_good(server, 2)
        kill(worker(server).pid)
        self.assert_echo(self.ask(server, "a_good"))
        self.wait_for_good(server, 3)


if __name__ == "__main__":
    harness.main()
