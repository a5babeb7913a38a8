"""SIGHUP: the configuration is read again; what is wrong is refused with its reason, and changes nothing."""

import os
import signal
import tempfile
import unittest

import grpc
import harness
import numpy as np
from harness.repository import Repository, config
from harness.server import CPU_POOL, Server
from harness.tensors import infer_request

TIMEOUT = 60
ROW = np.array([[1, 2, 3, 4]], dtype=np.float32)


class ReloadTest(unittest.TestCase):
    def setUp(self):
        self.repository = repository = self.enterContext(Repository())
        repository.synthetic(
            "large",
            inputs=[("INPUT0", "TYPE_FP32", [-1])],
            outputs=[("OUTPUT0", "TYPE_FP32", [-1])],
        )
        self.file = os.path.join(self.enterContext(tempfile.TemporaryDirectory()), "tandem.conf")
        self.write("limits { max_bytes_in_flight: 4096 }\n")
        flags = (CPU_POOL, "--config=" + self.file)
        self.server = self.enterContext(Server(repository.path, flags=flags))

    def write(self, text):
        with open(self.file, "w", encoding="ascii") as file:
            file.write(text)

    def reload(self, told):
        """Sends SIGHUP and waits until the log tells the outcome."""
        self.server.process.send_signal(signal.SIGHUP)
        self.server.wait_for_log(told)

    def infer(self, values):
        """The status of a request with so many numbers."""
        call = self.server.infer.ModelInfer.future(
            infer_request("large", {"INPUT0": np.zeros((1, values), np.float32)}), timeout=TIMEOUT
        )
        return call.code()

    def test_new_limits_hold_from_then_on(self):
        self.assertEqual(self.infer(2048), grpc.StatusCode.RESOURCE_EXHAUSTED)
        self.write("limits { max_bytes_in_flight: 16384 }\n")
        self.reload("the configuration was read again and taken")
        self.assertEqual(self.infer(2048), grpc.StatusCode.OK)

    def test_a_file_with_an_error_is_refused_with_its_line_and_the_old_one_stays(self):
        self.write("limits {\n  max_bytes_in_flight: many\n}\n")
        self.reload("tandem.conf:2")
        self.assertIn("the configuration was refused, and the old one stays", self.server.log())
        self.assertEqual(self.infer(2048), grpc.StatusCode.RESOURCE_EXHAUSTED)
        self.assertEqual(self.infer(512), grpc.StatusCode.OK)

    def test_what_only_a_new_start_can_change_is_refused_as_a_whole(self):
        self.write("limits { max_bytes_in_flight: 16384 }\nlog_format: 'json'\n")
        self.reload("tandem.conf:2: log_format cannot change while the server runs")
        self.assertEqual(self.infer(2048), grpc.StatusCode.RESOURCE_EXHAUSTED)


    def test_other_pools_are_refused_and_told_to_need_a_new_start(self):
        file = os.path.join(self.enterContext(tempfile.TemporaryDirectory()), "pools.conf")
        for lanes, told in (
            (1, None),
            (2, "pools cannot change while the server runs; start it again for that"),
        ):
            with open(file, "w", encoding="ascii") as stream:
                stream.write(f"pools {{ name: 'cpu' device: 'cpu' lanes: {lanes} }}\n")
            if told is None:
                server = self.enterContext(
                    Server(self.repository.path, flags=("--config=" + file,))
                )
                continue
            server.process.send_signal(signal.SIGHUP)
            server.wait_for_log(told)
        # The one that is configured, and the express lane.
        self.assertEqual(server.status().pools[0].workers[0].lanes, 2)

    def test_a_model_that_is_mended_is_not_told_to_be_served_no_more(self):
        self.repository.add("broken", "no_such_field: 1")
        self.reload("model broken: UNAVAILABLE")
        path = os.path.join(self.repository.path, "broken", "config.pbtxt")
        with open(path, "w", encoding="ascii") as file:
            file.write(config("broken"))
        self.reload("model broken version 1: READY")
        self.reload(lambda log: log.count("the model repository was read again") == 3)
        self.assertNotIn("served no more", self.server.log())


if __name__ == "__main__":
    harness.main()
