"""Memory that runs out: the worker that takes too much is ended, the server never."""

import signal
import unittest

import grpc
import harness
import numpy as np
from harness.load import Load
from harness.processes import children
from harness.recovery import (
    footprint,
    metric,
    wait_for_footprint,
    wait_for_restart,
    worker,
)
from harness.repository import Repository
from harness.server import GPU_STAND_IN, Server
from harness.tensors import infer_outputs, infer_request

TIMEOUT = 60
POISON = 222
LIMITED = "--pool=cpu=device:cpu,processes:1,lanes:2,threads:1,memory:256MiB"


def rows(number, count=1):
    return np.array([[number, 2, 3, 4]] * count, dtype=np.float32)


class MemoryTest(unittest.TestCase):
    def setUp(self):
        repository = self.enterContext(Repository())
        repository.synthetic("light")
        repository.synthetic("eats", parameters={"mode": "eat", "trigger": "poison"})
        repository.synthetic("small", parameters={"oom_rows": 2}, extra="dynamic_batching {}")
        self.server = self.enterContext(Server(repository.path, (LIMITED, GPU_STAND_IN)))

    def ask(self, model, values):
        return self.server.infer.ModelInfer.future(
            infer_request(model, {"INPUT0": values}), timeout=TIMEOUT
        )

    def assert_echo(self, call, values):
        np.testing.assert_array_equal(infer_outputs(call.result())["OUTPUT0"], values)

    def test_a_worker_above_its_pools_limit_is_ended_and_the_reason_told(self):
        before = footprint(self.server)
        greedy = self.ask("eats", rows(POISON))
        others = [(self.ask("light", rows(n)), n) for n in range(20)]
        error = greedy.exception(timeout=TIMEOUT)
        self.assertEqual(error.code(), grpc.StatusCode.INTERNAL, error)
        self.assertNotIn("MiB", error.details())
        for call, number in others:
            self.assert_echo(call, rows(number))
        self.assertIn("its pool allows 256 MiB", wait_for_restart(self.server, 2).last_exit)
        told = "model eats version 1: a request ended two workers and is refused: "
        self.assertIn("its pool allows 256 MiB", self.server.log().split(told)[1])
        self.assertEqual(worker(self.server, "gpu").restarts, 0)
        wait_for_footprint(self.server, before)

    def test_a_model_that_takes_too_much_at_load_is_left_out_and_no_request_is_blamed(self):
        repository = self.enterContext(Repository())
        repository.synthetic("good")
        flags = ("--pool=cpu=device:cpu,processes:2,lanes:1,memory:256MiB",)
        server = self.enterContext(Server(repository.path, flags))
        with Load(server.address, "good") as load:
            load.wait_for_more(10)
            repository.synthetic("huge", parameters={"load_mode": "eat"})
            server.process.send_signal(signal.SIGHUP)
            server.wait_for_log("model huge version 1: UNAVAILABLE")
            load.wait_for_more(10)
        self.assertEqual(load.failures, [])
        state, reason = server.index()["huge", "1"]
        self.assertEqual(state, "UNAVAILABLE")
        self.assertRegex(
            reason, r"with it the worker holds \d+ MiB of memory and its pool allows 256 MiB"
        )
        self.assertIn("so it is left out", reason)
        (pool,) = server.status().pools
        self.assertEqual(sorted(w.restarts for w in pool.workers), [0, 2])
        self.assertNotIn("is refused", server.log())
        self.assertEqual(metric(server, "tandem_quarantined_requests"), 0)

    def test_the_kernel_ends_a_worker_before_the_server(self):
        def score(pid):
            with open(f"/proc/{pid}/oom_score_adj", encoding="ascii") as file:
                return int(file.read())

        own = score(self.server.process.pid)
        for pid in children(self.server.process.pid):
            self.assertGreater(score(pid), own)

    def test_a_batch_that_is_too_much_together_runs_in_parts(self):
        calls = [self.ask("small", rows(n)) for n in range(50)]
        for number, call in enumerate(calls):
            self.assert_echo(call, rows(number))
        # One request whose rows do not fit together either.
        before = metric(self.server, "tandem_batches_split_total", model="small", pool="cpu")
        self.assert_echo(self.ask("small", rows(3, 7)), rows(3, 7))
        after = metric(self.server, "tandem_batches_split_total", model="small", pool="cpu")
        self.assertEqual(after, before + 1)
        self.assertEqual(worker(self.server).restarts, 0)
        self.assertEqual(metric(self.server, "tandem_request_failures_total"), 0)


if __name__ == "__main__":
    harness.main()
