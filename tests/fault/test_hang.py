"""Workers that stop: they are ended when a batch has used up its budget, and others run it."""

import os
import time
import unittest

import grpc
import harness
import numpy as np
from harness.processes import Watch, stop
from harness.recovery import (
    footprint,
    metric,
    wait_for_footprint,
    wait_for_restart,
    worker,
)
from harness.repository import Repository
from harness.server import CPU_POOL, Server
from harness.tensors import infer_outputs, infer_request

TIMEOUT = 60
POISON = 222
BUDGET = 0.4


def row(number):
    return np.array([[number, 2, 3, 4]], dtype=np.float32)


class HangTest(unittest.TestCase):
    def setUp(self):
        repository = self.enterContext(Repository())
        limit = {"execution_timeout_ms": int(BUDGET * 1000)}
        hangs = {"mode": "hang", "trigger": "poison"}
        repository.synthetic("light", parameters=limit)
        repository.synthetic("hangs", parameters={**hangs, **limit})
        repository.synthetic("hangs_long", parameters={**hangs, "execution_timeout_ms": 5000})
        self.server = self.enterContext(Server(repository.path, flags=(CPU_POOL,)))

    def ask(self, model, number):
        return self.server.infer.ModelInfer.future(
            infer_request(model, {"INPUT0": row(number)}), timeout=TIMEOUT
        )

    def assert_echo(self, call, number):
        np.testing.assert_array_equal(infer_outputs(call.result())["OUTPUT0"], row(number))

    def ended_after(self, pid):
        """Seconds until a process ends."""
        begin = time.monotonic()
        with Watch([pid]) as watch:
            self.assertEqual(watch.wait(TIMEOUT), [])
        return time.monotonic() - begin

    def test_a_stopped_worker_is_gone_a_second_after_its_budget_and_its_request_runs_again(self):
        before = footprint(self.server)
        pid = worker(self.server).pid
        stop(pid)
        call = self.ask("light", 7)
        took = self.ended_after(pid)
        self.assertLess(took, BUDGET + 1)
        self.assert_echo(call, 7)
        self.assertIn("did not come to an end", wait_for_restart(self.server, 1).last_exit)
        self.assertEqual(metric(self.server, "tandem_request_retries_total", model="light"), 1)
        self.assertEqual(metric(self.server, "tandem_request_failures_total"), 0)
        wait_for_footprint(self.server, before)

    def test_a_stop_from_outside_is_no_requests_fault(self):
        stop(worker(self.server).pid)
        given_up = self.server.infer.ModelInfer.future(
            infer_request("light", {"INPUT0": row(7)}), timeout=BUDGET / 2
        )
        self.assertEqual(given_up.exception().code(), grpc.StatusCode.DEADLINE_EXCEEDED)
        wait_for_restart(self.server, 1)
        self.assert_echo(self.ask("light", 7), 7)

    def test_a_request_that_hangs_two_workers_is_refused_and_the_others_succeed(self):
        before = footprint(self.server)
        hanging = self.ask("hangs", POISON)
        others = [self.ask(model, n) for n in range(20) for model in ("light", "hangs")]
        error = hanging.exception(timeout=TIMEOUT)
        self.assertEqual(error.code(), grpc.StatusCode.INTERNAL, error)
        self.assertIn("ended two workers", error.details())
        told = "model hangs version 1: a request ended two workers and is refused: "
        self.server.wait_for_log(told)
        self.assertIn(f"within {int(BUDGET * 1000)} ms", self.server.log().split(told)[1])
        for number, call in enumerate(others):
            self.assert_echo(call, number // 2)
        wait_for_restart(self.server, 2)
        self.assertEqual(
            self.ask("hangs", POISON).exception().code(), grpc.StatusCode.INTERNAL
        )
        self.assertEqual(worker(self.server).restarts, 2)
        wait_for_footprint(self.server, before)

    def test_while_a_request_hangs_for_the_second_time_others_are_served(self):
        hanging = self.ask("hangs_long", POISON)
        wait_for_restart(self.server, 1)
        # It runs again before these, which came later.
        for number in range(20):
            self.assert_echo(self.ask("light", number), number)
        self.assertFalse(hanging.done())
        self.assertEqual(worker(self.server).restarts, 1)
        self.assertEqual(hanging.exception(timeout=TIMEOUT).code(), grpc.StatusCode.INTERNAL)
        wait_for_restart(self.server, 2)


if __name__ == "__main__":
    harness.main()
