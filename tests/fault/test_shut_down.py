"""SIGTERM: accepted requests are answered, new ones refused, nothing is left, exit code 0."""

import concurrent.futures
import itertools
import os
import queue
import re
import signal
import unittest

import grpc
import harness
import numpy as np
from harness import protos
from harness.processes import Watch, children
from harness.repository import Repository
from harness.server import STOP_SECONDS, Server
from harness.tensors import infer_outputs, infer_request

TIMEOUT = 60
ROW = np.array([[1, 2, 3, 4]], dtype=np.float32)


class ShutDownTest(unittest.TestCase):
    def setUp(self):
        self.repository = self.enterContext(Repository())
        self.repository.synthetic("light")
        self.repository.synthetic("medium", parameters={"alpha_us": 200_000})
        self.repository.synthetic("slow", parameters={"alpha_us": 1_000_000})
        self.repository.synthetic("endless", parameters={"alpha_us": 600_000_000})

    def start(self, model, server):
        """Sends a request that runs for a while; its call."""
        call = server.infer.ModelInfer.future(
            infer_request(model, {"INPUT0": ROW}), timeout=TIMEOUT
        )
        server.infer.ModelInfer(infer_request("light", {"INPUT0": ROW}), timeout=TIMEOUT)
        return call

    def test_an_idle_server_ends_with_0_on_either_signal(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            with Server(self.repository.path) as server:
                with Watch(children(server.process.pid)) as workers:
                    server.process.send_signal(number)
                    self.assertEqual(server.process.wait(STOP_SECONDS), 0, server.log())
                    self.assertEqual(workers.wait(STOP_SECONDS), [])

    def test_signals_that_mean_nothing_end_neither_server_nor_worker(self):
        with Server(self.repository.path) as server:
            workers = set(children(server.process.pid))
            for name in ("USR1", "ALRM", "VTALRM", "PROF", "IO"):
                server.process.send_signal(signal.Signals["SIG" + name])
            for worker in workers:
                os.kill(worker, signal.SIGUSR1)
            self.start("medium", server).result(TIMEOUT)
            self.assertEqual(set(children(server.process.pid)), workers)
            server.stop()

    def test_sigquit_ends_the_server_at_once_and_is_told(self):
        with Server(self.repository.path) as server:
            call = self.start("endless", server)
            with Watch(children(server.process.pid)) as workers:
                server.process.send_signal(signal.SIGQUIT)
                self.assertEqual(server.process.wait(STOP_SECONDS), 128 + signal.SIGQUIT)
                self.assertEqual(workers.wait(STOP_SECONDS), [])
            self.assertIsNotNone(call.exception(timeout=TIMEOUT))
            self.assertIn("SIGQUIT", server.log())

    def test_a_request_that_runs_is_answered_before_the_end(self):
        with Server(self.repository.path) as server:
            call = self.start("slow", server)
            server.stop()
            np.testing.assert_array_equal(infer_outputs(call.result())["OUTPUT0"], ROW)

    def test_the_health_service_says_not_serving_while_the_server_drains(self):
        with Server(self.repository.path) as server:
            request = protos.message("grpc.health.v1.HealthCheckRequest")(service="")
            events = server.health.Watch(request, timeout=TIMEOUT)
            self.assertEqual(next(events).status, 1)
            call = self.start("slow", server)
            server.process.send_signal(signal.SIGTERM)
            self.assertEqual(next(events).status, 2)
            with self.assertRaises(grpc.RpcError) as raised:
                server.infer.ModelInfer(infer_request("light", {"INPUT0": ROW}), timeout=TIMEOUT)
            self.assertEqual(raised.exception.code(), grpc.StatusCode.UNAVAILABLE)
            self.assertEqual(server.process.wait(STOP_SECONDS), 0)
            np.testing.assert_array_equal(infer_outputs(call.result())["OUTPUT0"], ROW)

    def test_a_stream_gets_its_answers_and_is_then_told_that_the_server_ends(self):
        requests = queue.SimpleQueue()
        for model in ("medium", "medium", "light"):
            request = infer_request(model, {"INPUT0": ROW})
            request.id = model
            requests.put(request)
        health = protos.message("grpc.health.v1.HealthCheckRequest")(service="")
        with Server(self.repository.path) as server:
            events = server.health.Watch(health, timeout=TIMEOUT)
            self.assertEqual(next(events).status, 1)
            # Its client would keep it open for ever.
            answers = server.channel.stream_stream(
                "/inference.GRPCInferenceService/ModelStreamInfer",
                request_serializer=protos.message("inference.ModelInferRequest").SerializeToString,
                response_deserializer=protos.message(
                    "inference.ModelStreamInferResponse"
                ).FromString,
            )(iter(requests.get, None), timeout=TIMEOUT)
            answered = []
            # Then the server has those that came before it, too.
            while "light" not in answered:
                answered.append(next(answers).infer_response.id)
            server.process.send_signal(signal.SIGTERM)
            self.assertEqual(next(events).status, 2)
            with self.assertRaises(grpc.RpcError) as raised:
                for answer in answers:
                    np.testing.assert_array_equal(
                        infer_outputs(answer.infer_response)["OUTPUT0"], ROW
                    )
                    answered.append(answer.infer_response.id)
            self.assertEqual(sorted(answered), ["light", "medium", "medium"])
            self.assertEqual(raised.exception.code(), grpc.StatusCode.UNAVAILABLE)
            self.assertRegex(raised.exception.details(), "is shutting down; try another one")
            self.assertEqual(server.process.wait(STOP_SECONDS), 0)
            requests.put(None)

    def test_a_request_that_does_not_end_is_given_up_after_the_drain_timeout(self):
        flags = ("--pool=cpu=device:cpu,lanes:2", "--drain-timeout=200ms")
        with Server(self.repository.path, flags=flags) as server:
            call = self.start("endless", server)
            server.stop()
            self.assertEqual(call.exception().code(), grpc.StatusCode.UNAVAILABLE)

    def ask_until_refused(self, server):
        """Asks one request after the other, up to the first that has no answer: why it has none."""
        for turn in itertools.count():
            row = np.full((1, 4), turn, np.float32)
            try:
                reply = server.infer.ModelInfer(
                    infer_request("light", {"INPUT0": row}), timeout=TIMEOUT
                )
            except grpc.RpcError as error:
                return f"{error.code().name}: {error.details()}"
            np.testing.assert_array_equal(infer_outputs(reply)["OUTPUT0"], row)

    def test_twenty_drains_under_load_drop_nothing(self):
        # What was not accepted: refused by the server, or by its host once it had ended.
        refused = re.compile("UNAVAILABLE: .*(shutting down|failed to connect|Connection refused)")
        for _ in range(20):
            with (
                Server(self.repository.path, flags=("--pool=cpu=device:cpu,lanes:2",)) as server,
                concurrent.futures.ThreadPoolExecutor() as clients,
            ):
                ends = [clients.submit(self.ask_until_refused, server) for _ in range(4)]
                for _ in range(50):
                    self.start("light", server)
                medium = self.start("medium", server)
                server.stop()
                np.testing.assert_array_equal(infer_outputs(medium.result())["OUTPUT0"], ROW)
                for end in ends:
                    self.assertRegex(end.result(), refused)

    def test_a_second_signal_ends_the_server_at_once(self):
        with Server(self.repository.path) as server:
            call = self.start("endless", server)
            health = protos.message("grpc.health.v1.HealthCheckRequest")(service="")
            events = server.health.Watch(health, timeout=TIMEOUT)
            next(events)
            with Watch(children(server.process.pid)) as workers:
                server.process.send_signal(signal.SIGTERM)
                self.assertEqual(next(events).status, 2)
                server.process.send_signal(signal.SIGTERM)
                server.process.wait(STOP_SECONDS)
                self.assertEqual(workers.wait(STOP_SECONDS), [])
            self.assertIsNotNone(call.exception(timeout=TIMEOUT))


if __name__ == "__main__":
    harness.main()
