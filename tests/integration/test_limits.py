"""What one client may take of the server: metadata, calls at a time, messages."""

import unittest

import grpc
import harness
import numpy as np
from harness import protos
from harness.repository import Repository
from harness.server import CPU_POOL, Server
from harness.tensors import infer_outputs, infer_request

TIMEOUT = 60
ROW = np.array([[1, 2, 3, 4]], dtype=np.float32)
FLAGS = (
    CPU_POOL,
    "--max-metadata-bytes=2KiB",
    "--max-streams-per-connection=2",
    "--max-message-bytes=64KiB",
    "--max-network-bytes=64MiB",
)


class LimitsTest(unittest.TestCase):
    def setUp(self):
        repository = self.enterContext(Repository())
        repository.synthetic("light")
        self.server = self.enterContext(Server(repository.path, flags=FLAGS))

    def infer(self, **settings):
        request = infer_request("light", {"INPUT0": ROW})
        return self.server.infer.ModelInfer.future(request, **{"timeout": TIMEOUT, **settings})

    def test_metadata_beyond_the_limit_is_refused(self):
        call = self.infer(metadata=[("x", "y" * 4096)])
        self.assertEqual(call.code(), grpc.StatusCode.RESOURCE_EXHAUSTED)

    def test_a_message_beyond_the_limit_is_refused(self):
        request = infer_request("light", {"INPUT0": np.zeros((1, 32 << 10), np.float32)})
        call = self.server.infer.ModelInfer.future(request, timeout=TIMEOUT)
        self.assertEqual(call.code(), grpc.StatusCode.RESOURCE_EXHAUSTED)

    def test_calls_of_one_connection_beyond_the_limit_wait_and_other_connections_do_not(self):
        # Streams that stay open, and are known to the server once they have answered.
        request = protos.message("grpc.health.v1.HealthCheckRequest")(service="")
        watches = [self.server.health.Watch(request, timeout=TIMEOUT) for _ in range(2)]
        for watch in watches:
            next(watch)
        waiting = self.infer()
        other = grpc.insecure_channel(
            self.server.address, options=[("grpc.use_local_subchannel_pool", 1)]
        )
        with other:
            reply = protos.infer_service(other).ModelInfer(
                infer_request("light", {"INPUT0": ROW}), timeout=TIMEOUT
            )
            np.testing.assert_array_equal(infer_outputs(reply)["OUTPUT0"], ROW)
        self.assertFalse(waiting.done())
        watches[0].cancel()
        np.testing.assert_array_equal(infer_outputs(waiting.result())["OUTPUT0"], ROW)
        watches[1].cancel()


if __name__ == "__main__":
    harness.main()
