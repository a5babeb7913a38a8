"""More than the server takes: it refuses at once, says when to try again, and goes on."""

import unittest

import grpc
import harness
import numpy as np
from harness import protos
from harness.repository import Repository
from harness.server import Server
from harness.tensors import infer_outputs, infer_request, predict_request

TIMEOUT = 60
ROW = np.array([[1, 2, 3, 4]], dtype=np.float32)
ONE_LANE = "--pool=cpu=device:cpu,processes:1,lanes:1,threads:1"
EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED


class OverloadTest(unittest.TestCase):
    def setUp(self):
        repository = self.enterContext(Repository())
        # Its requests wait until the server ends.
        repository.synthetic("endless", parameters={"alpha_us": 600_000_000})
        repository.synthetic(
            "large",
            inputs=[("INPUT0", "TYPE_FP32", [-1])],
            outputs=[("OUTPUT0", "TYPE_FP32", [-1])],
        )
        flags = (ONE_LANE, "--max-queue-length=2", "--max-bytes-in-flight=4KiB")
        flags += ("--drain-timeout=0s",)
        self.server = self.enterContext(Server(repository.path, flags=flags))

    def fill_the_queue(self):
        """One request runs, two wait; returns them when the server has taken all three. They are
        cancelled when nobody holds them any more.
        """
        calls = []
        for number in range(3):
            calls.append(
                self.server.infer.ModelInfer.future(
                    infer_request("endless", {"INPUT0": ROW}), timeout=TIMEOUT
                )
            )
            # Asked until the request is seen: the calls of one client are not taken in order.
            while self.queued() < number:
                pass
        return calls

    def queued(self):
        (model,) = (m for m in self.server.status().models if m.name == "endless")
        return model.queued

    def check_advice(self, error):
        """The time to wait, as both kinds of clients read it."""
        metadata = dict(error.trailing_metadata())
        milliseconds = int(metadata["grpc-retry-pushback-ms"])
        self.assertGreater(milliseconds, 0)
        status = protos.message("google.rpc.Status").FromString(metadata["grpc-status-details-bin"])
        self.assertEqual(status.code, EXHAUSTED.value[0])
        self.assertEqual(status.message, error.details())
        (detail,) = status.details
        self.assertEqual(detail.type_url, "type.googleapis.com/google.rpc.RetryInfo")
        delay = protos.message("google.rpc.RetryInfo").FromString(detail.value).retry_delay
        self.assertEqual(delay.seconds * 1000 + delay.nanos // 1_000_000, milliseconds)

    def test_a_full_queue_refuses_and_tells_when_to_try_again(self):
        waiting = self.fill_the_queue()
        calls = [
            lambda: self.server.infer.ModelInfer(
                infer_request("endless", {"INPUT0": ROW}), timeout=TIMEOUT
            ),
            lambda: self.server.prediction.Predict(
                predict_request({"INPUT0": ROW}, cpu=["endless"]), timeout=TIMEOUT
            ),
            lambda: list(
                self.server.prediction.PredictStream(
                    predict_request({"INPUT0": ROW}, cpu=["endless"]), timeout=TIMEOUT
                )
            ),
        ]
        for call in calls:
            with self.assertRaises(grpc.RpcError) as raised:
                call()
            self.assertEqual(raised.exception.code(), EXHAUSTED)
            self.assertIn("endless", raised.exception.details())
            self.check_advice(raised.exception)
        self.assertFalse(any(call.done() for call in waiting))

    def test_what_can_never_fit_is_refused_without_advice_to_try_again(self):
        request = infer_request("large", {"INPUT0": np.zeros((1, 2048), np.float32)})
        with self.assertRaises(grpc.RpcError) as raised:
            self.server.infer.ModelInfer(request, timeout=TIMEOUT)
        self.assertEqual(raised.exception.code(), EXHAUSTED)
        self.assertNotIn("grpc-retry-pushback-ms", dict(raised.exception.trailing_metadata()))

    def test_what_fits_is_answered_without_any_advice(self):
        request = infer_request("large", {"INPUT0": ROW})
        reply, call = self.server.infer.ModelInfer.with_call(request, timeout=TIMEOUT)
        np.testing.assert_array_equal(infer_outputs(reply)["OUTPUT0"], ROW)
        self.assertNotIn("grpc-retry-pushback-ms", dict(call.trailing_metadata()))


if __name__ == "__main__":
    harness.main()
