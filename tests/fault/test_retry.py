"""Requests whose worker dies: they run again, and their clients see an answer that came late."""

import unittest

import grpc
import harness
import numpy as np
from harness.recovery import (
    footprint,
    kill,
    metric,
    wait_for_footprint,
    wait_for_restart,
    wait_until,
    worker,
)
from harness.repository import Repository
from harness.server import Server
from harness.tensors import infer_outputs, infer_request

TIMEOUT = 60
TWO_WORKERS = "--pool=cpu=device:cpu,processes:2,lanes:2,threads:1"


def row(number):
    return np.array([[number, 2, 3, 4]], dtype=np.float32)


class RetryTest(unittest.TestCase):
    def setUp(self):
        repository = self.enterContext(Repository())
        repository.synthetic("light", extra="dynamic_batching {}")
        repository.synthetic("slow", parameters={"alpha_us": 500_000})
        # Longer than any test: its requests end because their worker is killed.
        repository.synthetic("endless", parameters={"alpha_us": 600_000_000})
        repository.synthetic("both", kinds=["KIND_CPU", "KIND_GPU"])
        self.path = repository.path

    def start(self, *flags):
        return self.enterContext(Server(self.path, *([flags] if flags else [])))

    def ask(self, server, model, number=1, timeout=TIMEOUT):
        """Sends a request; the call."""
        return server.infer.ModelInfer.future(
            infer_request(model, {"INPUT0": row(number)}), timeout=timeout
        )

    def assert_echo(self, call, number=1):
        np.testing.assert_array_equal(infer_outputs(call.result())["OUTPUT0"], row(number))

    def start_running(self, server, model):
        """Sends a request that is in a worker when this returns."""
        call = self.ask(server, model)
        # Answered over another lane: the request before it has been handed over by then.
        self.assert_echo(self.ask(server, "light"))
        return call

    def test_a_request_whose_worker_is_killed_runs_again(self):
        server = self.start()
        before = footprint(server)
        call = self.start_running(server, "slow")
        kill(worker(server).pid)
        self.assert_echo(call)
        self.assertEqual(metric(server, "tandem_request_retries_total", model="slow"), 1)
        self.assertEqual(metric(server, "tandem_request_failures_total"), 0)
        self.assertEqual(metric(server, "tandem_requests_total", model="slow", code="OK"), 1)
        wait_for_restart(server, 1)
        wait_for_footprint(server, before)

    def test_with_two_workers_nobody_waits_for_the_restart(self):
        server = self.start(TWO_WORKERS)
        (pool,) = server.status().pools
        call = self.start_running(server, "slow")
        (busy,) = (each for each in pool.workers if self.is_busy(server, each.name))
        kill(busy.pid)
        self.assert_echo(call)
        # It ran in the other one.
        ran = "tandem_compute_duration_seconds_count"
        (other,) = (each for each in pool.workers if each.name != busy.name)
        self.assertEqual(metric(server, ran, model="slow", worker=other.name), 1)

    def is_busy(self, server, name):
        """Whether a worker holds inputs."""
        return metric(server, "tandem_arena_used_bytes", worker=name) > 0

    def test_a_second_death_is_told_and_the_request_may_be_sent_again(self):
        server = self.start()
        call = self.start_running(server, "endless")
        kill(worker(server).pid)
        wait_for_restart(server, 1)
        wait_until(
            server,
            lambda status: self.is_busy(server, "cpu/0"),
            "the request runs again",
        )
        kill(worker(server).pid)
        error = call.exception(timeout=TIMEOUT)
        self.assertEqual(error.code(), grpc.StatusCode.UNAVAILABLE, error)
        for words in ("endless", "second time", "try again"):
            self.assertIn(words, error.details())
        wait_for_restart(server, 2)
        self.assertEqual(len(server.status().quarantine), 0)

    def test_requests_that_come_while_the_only_worker_is_away_wait_for_it(self):
        server = self.start()
        kill(worker(server).pid)
        calls = [self.ask(server, "light", number) for number in range(50)]
        for number, call in enumerate(calls):
            self.assert_echo(call, number)
        self.assertEqual(metric(server, "tandem_request_failures_total"), 0)

    def test_a_request_does_not_wait_longer_than_the_restart_patience(self):
        server = self.start(
            "--pool=cpu=device:cpu,processes:1,lanes:2,threads:1",
            "--pool=gpu=device:cpu,serves:gpu,lanes:1",
            "--restart-patience=0s",
        )
        for death in range(1, 5):
            kill(worker(server).pid)
            wait_for_restart(server, death)
        # The back-off before the next start has grown to 0.8 s at least.
        kill(worker(server).pid)
        error = self.ask(server, "light").exception()
        self.assertEqual(error.code(), grpc.StatusCode.UNAVAILABLE)
        self.assertIn("light", error.details())

    def test_a_model_on_two_pools_runs_on_the_other(self):
        server = self.start()
        kill(worker(server, "cpu").pid)
        for number in range(20):
            self.assert_echo(self.ask(server, "both", number), number)

    def test_under_load_and_repeated_kills_every_request_is_answered_once_and_right(self):
        server = self.start(TWO_WORKERS)
        before = footprint(server)
        kills, answered, errors = 8, 0, []
        for round_number in range(kills):
            calls = [self.ask(server, "light", n) for n in range(300)]
            victim = server.status().pools[0].workers[round_number % 2]
            if victim.pid:
                kill(victim.pid)
            for number, call in enumerate(calls):
                if call.exception(timeout=TIMEOUT) is not None:
                    errors.append(call.exception())
                    continue
                self.assert_echo(call, number)
                answered += 1
        self.assertEqual(errors, [])
        self.assertEqual(answered, kills * 300)
        wait_until(
            server,
            lambda status: all(w.state == "ready" for w in status.pools[0].workers),
            "both workers are back",
        )
        wait_for_footprint(server, before)


if __name__ == "__main__":
    harness.main()
