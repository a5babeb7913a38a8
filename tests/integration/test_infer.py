"""ModelInfer and the methods that tell of models, over the synthetic platform."""

import unittest

import harness
import numpy as np
from harness import protos
from harness.repository import Repository
from harness.server import Server
from harness.tensors import infer_outputs, infer_request

TIMEOUT = 30

TYPES = {
    "BOOL": np.bool_,
    "UINT8": np.uint8,
    "UINT16": np.uint16,
    "UINT32": np.uint32,
    "UINT64": np.uint64,
    "INT8": np.int8,
    "INT16": np.int16,
    "INT32": np.int32,
    "INT64": np.int64,
    "FP16": np.float16,
    "FP32": np.float32,
    "FP64": np.float64,
}
TYPED_FIELDS = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
}


class InferTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        repository = cls.enterClassContext(Repository())
        for name in TYPES:
            repository.synthetic(
                "echo_" + name.lower(),
                inputs=[("INPUT0", "TYPE_" + name, [-1])],
                outputs=[("OUTPUT0", "TYPE_" + name, [-1])],
            )
        repository.synthetic(
            "echo_bytes",
            inputs=[("INPUT0", "TYPE_STRING", [-1])],
            outputs=[("OUTPUT0", "TYPE_STRING", [-1])],
        )
        repository.synthetic(
            "pair",
            inputs=[("A", "TYPE_FP32", [2]), ("B", "TYPE_INT32", [3])],
            outputs=[("X", "TYPE_FP32", [2]), ("Y", "TYPE_INT32", [3])],
        )
        repository.synthetic("versions", versions=[1, 2], extra="version_policy { all { } }")
        repository.synthetic("unbatched", max_batch_size=0)
        cls.server = cls.enterClassContext(Server(repository.path))

    def test_every_data_type_comes_back_bit_by_bit_in_raw_contents(self):
        for name, dtype in TYPES.items():
            with self.subTest(name):
                sent = np.arange(12).reshape(2, 6).astype(dtype)
                reply = self.server.infer.ModelInfer(
                    infer_request("echo_" + name.lower(), {"INPUT0": sent}), timeout=TIMEOUT
                )
                (came,) = infer_outputs(reply).values()
                self.assertEqual(reply.outputs[0].datatype, name)
                self.assertEqual(list(reply.outputs[0].shape), [2, 6])
                np.testing.assert_array_equal(came, sent)

    def test_nan_passes_unchanged(self):
        bits = np.array([[0x7FC00001, 0xFFC12345, 0x7F800000, 0x80000000]], dtype=np.uint32)
        reply = self.server.infer.ModelInfer(
            infer_request("echo_fp32", {"INPUT0": bits.view(np.float32)}), timeout=TIMEOUT
        )
        self.assertEqual(reply.raw_output_contents[0], bits.tobytes())

    def test_typed_contents_mean_the_same_as_raw_ones(self):
        for name, field in TYPED_FIELDS.items():
            with self.subTest(name):
                values = np.array([1, 0, 1, 1]).astype(TYPES[name])
                request = infer_request("echo_" + name.lower(), {"INPUT0": values.reshape(1, 4)})
                del request.raw_input_contents[:]
                getattr(request.inputs[0].contents, field).extend(values.tolist())
                reply = self.server.infer.ModelInfer(request, timeout=TIMEOUT)
                np.testing.assert_array_equal(infer_outputs(reply)["OUTPUT0"], values.reshape(1, 4))

    def test_byte_strings_come_back_raw_and_typed(self):
        words = np.array([[b"", b"a", "håll".encode(), b"\0\xff" * 100]], dtype=object)
        request = infer_request("echo_bytes", {"INPUT0": words})
        reply = self.server.infer.ModelInfer(request, timeout=TIMEOUT)
        self.assertEqual(infer_outputs(reply)["OUTPUT0"].tolist(), words.tolist())
        del request.raw_input_contents[:]
        request.inputs[0].contents.bytes_contents.extend(words[0].tolist())
        reply = self.server.infer.ModelInfer(request, timeout=TIMEOUT)
        self.assertEqual(infer_outputs(reply)["OUTPUT0"].tolist(), words.tolist())

    def test_only_the_requested_outputs_are_returned_in_the_requested_order(self):
        arrays = {
            "B": np.array([[1, 2, 3]], dtype=np.int32),
            "A": np.array([[0.5, 1.5]], dtype=np.float32),
        }
        for wanted in (["Y"], ["Y", "X"], ["X", "Y"]):
            reply = self.server.infer.ModelInfer(
                infer_request("pair", arrays, outputs=wanted), timeout=TIMEOUT
            )
            self.assertEqual([o.name for o in reply.outputs], wanted)
            outputs = infer_outputs(reply)
            np.testing.assert_array_equal(outputs["Y"], arrays["B"])
            if "X" in wanted:
                np.testing.assert_array_equal(outputs["X"], arrays["A"])

    def test_the_request_chooses_the_version_and_the_latest_is_the_default(self):
        array = {"INPUT0": np.ones((1, 4), np.float32)}
        for asked, served in (("1", "1"), ("2", "2"), ("", "2")):
            request = infer_request("versions", array, version=asked)
            request.id = "my id"
            reply = self.server.infer.ModelInfer(request, timeout=TIMEOUT)
            self.assertEqual(reply.model_name, "versions")
            self.assertEqual(reply.model_version, served)
            self.assertEqual(reply.id, "my id")

    def test_a_model_without_batch_dimension_takes_the_shape_of_its_config(self):
        sent = np.arange(4, dtype=np.float32)
        reply = self.server.infer.ModelInfer(
            infer_request("unbatched", {"INPUT0": sent}), timeout=TIMEOUT
        )
        self.assertEqual(list(reply.outputs[0].shape), [4])
        np.testing.assert_array_equal(infer_outputs(reply)["OUTPUT0"], sent)

    def test_an_input_without_elements_has_an_output_without_elements(self):
        sent = np.zeros((1, 0), dtype=np.float32)
        reply = self.server.infer.ModelInfer(
            infer_request("echo_fp32", {"INPUT0": sent}), timeout=TIMEOUT
        )
        self.assertEqual(list(reply.outputs[0].shape), [1, 0])
        self.assertEqual(reply.raw_output_contents[0], b"")

    def test_a_large_tensor_comes_back_whole(self):
        sent = np.random.default_rng(7).random((1, 3 << 20), dtype=np.float32)
        reply = self.server.infer.ModelInfer(
            infer_request("echo_fp32", {"INPUT0": sent}), timeout=TIMEOUT
        )
        np.testing.assert_array_equal(infer_outputs(reply)["OUTPUT0"], sent)

    def test_status_tells_pools_workers_and_models(self):
        status = self.server.status()
        self.assertEqual(
            [(p.name, p.kind, p.device) for p in status.pools],
            [("cpu", "cpu", "cpu"), ("gpu", "gpu", "cpu")],
        )
        for pool in status.pools:
            self.assertEqual([w.state for w in pool.workers], ["ready"])
            self.assertGreater(pool.workers[0].pid, 0)
            self.assertGreater(pool.workers[0].resident_bytes, 1 << 20)
        models = {(m.name, m.version): m for m in status.models}
        self.assertEqual(models["versions", "1"].state, "READY")
        self.assertEqual(list(models["versions", "1"].pools), ["cpu"])
        self.assertEqual(len(models), len(self.server.index()))

    def test_health_knows_the_server_and_each_model(self):
        for service in ("", "pair"):
            self.server.watch_health(service, "SERVING")
        self.server.watch_health("nobody", "SERVICE_UNKNOWN")
        request = protos.message("grpc.health.v1.HealthCheckRequest")(service="pair")
        self.assertEqual(self.server.health.Check(request, timeout=TIMEOUT).status, 1)


if __name__ == "__main__":
    harness.main()
