"""Requests of many clients run in one batch, and each gets its own answer."""

import unittest
from concurrent import futures

import grpc
import harness
import numpy as np
from harness.repository import Repository
from harness.server import GPU_STAND_IN, Server
from harness.tensors import infer_outputs, infer_request, predict_request, result_outputs

TIMEOUT = 60
CLIENTS = 24
# A row that begins with it.
POISON = 222
ONE_LANE = "--pool=cpu=device:cpu,processes:1,lanes:1,threads:1"


class BatchingTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        repository = cls.enterClassContext(Repository())
        slow = {"alpha_us": 100_000}
        repository.synthetic("batched", parameters=slow, extra="dynamic_batching { }")
        repository.synthetic("alone", parameters=slow)
        repository.synthetic(
            "picky",
            parameters={"alpha_us": 20_000, "mode": "fail", "trigger": "poison"},
            extra="dynamic_batching { }",
        )
        repository.synthetic(
            "ragged",
            inputs=[("INPUT0", "TYPE_FP32", [-1])],
            outputs=[("OUTPUT0", "TYPE_FP32", [-1])],
            parameters=slow,
            extra="dynamic_batching { }",
        )
        # One lane, so that requests have to wait for each other.
        cls.server = cls.enterClassContext(Server(repository.path, flags=(ONE_LANE, GPU_STAND_IN)))

    def predict_together(self, model, arrays):
        """Sends one Predict for each array at the same time; the replies in the same order."""
        calls = [
            self.server.prediction.Predict.future(
                predict_request({"INPUT0": array}, cpu=[model]), timeout=TIMEOUT
            )
            for array in arrays
        ]
        return [call.result() for call in calls]

    def check_answers(self, arrays, replies):
        for array, reply in zip(arrays, replies):
            outputs = result_outputs(reply.results[0], reply.raw_output_contents)
            np.testing.assert_array_equal(outputs["OUTPUT0"], array)

    def sizes(self, replies):
        return [reply.results[0].placement.batch_size for reply in replies]

    def test_requests_that_wait_run_in_one_batch_and_each_gets_its_own_rows(self):
        rows = [1 + number % 3 for number in range(CLIENTS)]
        arrays = [np.full((n, 4), number, np.float32) for number, n in enumerate(rows)]
        replies = self.predict_together("batched", arrays)
        self.check_answers(arrays, replies)
        self.assertGreater(max(self.sizes(replies)), max(rows))
        self.assertLessEqual(max(self.sizes(replies)), 8)

    def test_a_request_that_the_model_fails_on_fails_alone(self):
        answers = [
            self.server.infer.ModelInfer.future(
                infer_request("picky", {"INPUT0": np.full((1, 4), number, np.float32)}),
                timeout=TIMEOUT,
            )
            for number in range(POISON - CLIENTS, POISON + CLIENTS)
        ]
        for number, answer in enumerate(answers, POISON - CLIENTS):
            if number == POISON:
                self.assertEqual(answer.code(), grpc.StatusCode.INTERNAL)
                continue
            outputs = infer_outputs(answer.result())
            np.testing.assert_array_equal(outputs["OUTPUT0"], [[number] * 4])
        (model,) = [m for m in self.server.status().models if m.name == "picky"]
        self.assertEqual((model.requests, model.failures), (2 * CLIENTS, 1))

    def test_without_dynamic_batching_each_request_runs_alone(self):
        arrays = [np.full((1, 4), number, np.float32) for number in range(8)]
        replies = self.predict_together("alone", arrays)
        self.check_answers(arrays, replies)
        self.assertEqual(set(self.sizes(replies)), {1})

    def test_requests_of_different_shapes_are_not_mixed(self):
        arrays = [np.full((1, 2 + number % 2), number, np.float32) for number in range(CLIENTS)]
        replies = self.predict_together("ragged", arrays)
        self.check_answers(arrays, replies)

    def test_a_request_with_more_rows_than_the_largest_batch_is_refused(self):
        request = infer_request("batched", {"INPUT0": np.zeros((9, 4), np.float32)})
        call = self.server.infer.ModelInfer.future(request, timeout=TIMEOUT)
        message = call.exception().details()
        self.assertIn("8", message)
        self.assertIn("9", message)

    def test_many_clients_of_many_models_get_their_own_answers(self):
        def client(number):
            model = ("batched", "ragged")[number % 2]
            sent = np.full((1, 4), number, np.float32)
            reply = self.server.infer.ModelInfer(
                infer_request(model, {"INPUT0": sent}), timeout=TIMEOUT
            )
            np.testing.assert_array_equal(infer_outputs(reply)["OUTPUT0"], sent)
            return True

        with futures.ThreadPoolExecutor(CLIENTS) as threads:
            self.assertTrue(all(threads.map(client, range(4 * CLIENTS))))


if __name__ == "__main__":
    harness.main()
