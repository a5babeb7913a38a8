"""Requests that end their worker: each ends two at most, is refused from then on, and takes nobody
along.
"""

import json
import unittest

import grpc
import harness
import numpy as np
from harness.recovery import (
    footprint,
    metric,
    wait_for_footprint,
    wait_for_restart,
    wait_until,
    worker,
)
from harness.repository import Repository
from harness.server import Server, run_to_end
from harness.tensors import infer_outputs, infer_request

TIMEOUT = 60
POISON = 222
# How the worker ends, and the word for it in the log.
MODES = {
    "crash": "SIGSEGV",
    "abort": "SIGABRT",
    "exit": "exited with code 3",
    "device_lost": "its device can run nothing more",
    "garbage": "broke the protocol",
}


def row(number, second=2):
    return np.array([[number, second, 3, 4]], dtype=np.float32)


class PoisonTest(unittest.TestCase):
    def setUp(self):
        self.serve()

    def serve(self):
        repository = self.enterContext(Repository())
        repository.synthetic("light")
        for mode in MODES:
            repository.synthetic(
                mode, parameters={"mode": mode, "trigger": "poison"}, extra="dynamic_batching {}"
            )
        self.server = self.enterContext(Server(repository.path))

    def ask(self, model, values):
        return self.server.infer.ModelInfer.future(
            infer_request(model, {"INPUT0": values}), timeout=TIMEOUT
        )

    def assert_echo(self, call, values):
        np.testing.assert_array_equal(infer_outputs(call.result())["OUTPUT0"], values)

    def assert_condemned(self, call, *words):
        error = call.exception(timeout=TIMEOUT)
        self.assertEqual(error.code(), grpc.StatusCode.INTERNAL, error)
        for word in ("workers", *words):
            self.assertIn(word, error.details())
        # Which one, and how, is for the operator.
        self.assertNotIn("cpu/0", error.details())

    def test_a_request_that_ends_two_workers_is_refused_from_then_on(self):
        for mode, words in MODES.items():
            with self.subTest(mode):
                # One each: with every death the worker stays away for longer.
                self.serve()
                before = footprint(self.server)
                self.assert_condemned(self.ask(mode, row(POISON)), mode)
                told = f"model {mode} version 1: a request ended two workers and is refused: "
                self.server.wait_for_log(told)
                self.assertIn(words, self.server.log().split(told)[1].splitlines()[0])
                wait_for_restart(self.server, 2)
                # Refused without a third death; other inputs are taken.
                self.assert_condemned(self.ask(mode, row(POISON)), mode, "refused")
                self.assert_echo(self.ask(mode, row(1)), row(1))
                self.assertEqual(worker(self.server).restarts, 2)
                self.assertEqual(metric(self.server, "tandem_quarantined_requests"), 1)
                self.assertEqual(metric(self.server, "tandem_request_retries_total"), 1)
                self.assertEqual(worker(self.server, "gpu").restarts, 0)
                wait_for_footprint(self.server, before)

    def test_what_ran_beside_it_succeeds(self):
        calls = []
        for number in range(200):
            values = row(POISON if number == 100 else number % 100)
            calls.append((self.ask("crash", values), values))
            calls.append((self.ask("light", row(number % 100)), row(number % 100)))
        for call, values in calls:
            if values[0][0] == POISON:
                self.assert_condemned(call)
            else:
                self.assert_echo(call, values)
        wait_for_restart(self.server, 2)

    def test_a_poison_that_nobody_waits_for_is_refused_from_then_on(self):
        request = infer_request("crash", {"INPUT0": row(POISON)})
        # The client is gone before the request could run a second time.
        call = self.server.infer.ModelInfer.future(request, timeout=0.05)
        self.assertEqual(call.code(), grpc.StatusCode.DEADLINE_EXCEEDED)
        wait_for_restart(self.server, 1)
        wait_until(
            self.server,
            lambda _: metric(self.server, "tandem_quarantined_requests") == 1,
            "the request is in quarantine",
        )
        self.assert_condemned(self.ask("crash", row(POISON)), "refused")
        self.assertEqual(worker(self.server).restarts, 1)

    def test_each_distinct_poison_ends_two_workers_and_no_more(self):
        before = footprint(self.server)
        poisons = 3
        calls = []
        for number in range(3000):
            poisoned = number % 1000 == 500
            values = row(POISON, number) if poisoned else row(1, number)
            calls.append((self.ask("crash", values), values, poisoned))
            # Bounded, so that the queue does not refuse any.
            if len(calls) % 200 == 0:
                calls[-1][0].exception(timeout=TIMEOUT)
        for call, values, poisoned in calls:
            if poisoned:
                self.assert_condemned(call)
            else:
                self.assert_echo(call, values)
        restarts = worker(self.server).restarts
        self.assertLessEqual(restarts, 2 * poisons)
        wait_for_restart(self.server, restarts)
        wait_for_footprint(self.server, before)

    def test_an_operator_sees_and_clears_what_is_refused(self):
        self.assert_condemned(self.ask("crash", row(POISON)))
        self.assert_condemned(self.ask("crash", row(POISON)))
        (request,) = self.server.status().quarantine
        self.assertEqual((request.model_name, request.model_version), ("crash", "1"))
        self.assertEqual(request.refused, 1)
        self.assertTrue(590 < request.seconds_left <= 600, request)
        target = ["--target", self.server.address]
        code, out, _ = run_to_end(["quarantine", *target])
        self.assertEqual(code, 0)
        self.assertIn(request.fingerprint, out)
        code, out, _ = run_to_end(["status", *target])
        self.assertIn(request.fingerprint, out)
        code, out, _ = run_to_end(["quarantine", "--clear", "--json", *target])
        self.assertEqual(json.loads(out), {"cleared": 1})
        self.assertEqual(len(self.server.status().quarantine), 0)
        self.assertEqual(metric(self.server, "tandem_quarantined_requests"), 0)
        # Tried again from the beginning.
        wait_for_restart(self.server, 2)
        self.assert_condemned(self.ask("crash", row(POISON)))
        wait_for_restart(self.server, 4)


if __name__ == "__main__":
    harness.main()
