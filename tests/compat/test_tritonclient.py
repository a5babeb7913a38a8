"""The unmodified Python tritonclient.grpc against the server."""

import queue
import unittest

import harness
import numpy as np
from harness.repository import Repository
from harness.server import Server

try:
    from tritonclient import grpc as triton
    from tritonclient.utils import InferenceServerException
except ImportError:
    triton = None

TIMEOUT = 30


@unittest.skipIf(triton is None, "tritonclient[grpc] is not installed")
class TritonClientTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        repository = cls.enterClassContext(Repository())
        repository.synthetic("echo", versions=[3])
        repository.synthetic("two", versions=[1, 2], extra="version_policy { all { } }")
        repository.synthetic(
            "half",
            inputs=[("INPUT0", "TYPE_FP16", [-1])],
            outputs=[("OUTPUT0", "TYPE_FP16", [-1])],
        )
        repository.synthetic(
            "words",
            inputs=[("INPUT0", "TYPE_STRING", [-1])],
            outputs=[("OUTPUT0", "TYPE_STRING", [-1])],
        )
        repository.synthetic("slow", parameters={"alpha_us": 2_000_000})
        cls.server = cls.enterClassContext(Server(repository.path))
        cls.client = cls.enterClassContext(triton.InferenceServerClient(cls.server.address))

    def infer(self, model, array, datatype, **options):
        sent = triton.InferInput("INPUT0", list(array.shape), datatype)
        sent.set_data_from_numpy(array)
        options.setdefault("client_timeout", TIMEOUT)
        return self.client.infer(model, [sent], **options)

    def test_health(self):
        self.assertTrue(self.client.is_server_live())
        self.assertTrue(self.client.is_server_ready())
        self.assertTrue(self.client.is_model_ready("echo"))
        self.assertTrue(self.client.is_model_ready("echo", "3"))
        self.assertFalse(self.client.is_model_ready("nobody"))

    def test_metadata(self):
        server = self.client.get_server_metadata()
        self.assertEqual(server.name, "tandem")
        self.assertTrue(server.version)
        model = self.client.get_model_metadata("echo")
        self.assertEqual(model.name, "echo")
        self.assertEqual(list(model.versions), ["3"])
        self.assertEqual(model.inputs[0].name, "INPUT0")
        self.assertEqual(model.inputs[0].datatype, "FP32")
        self.assertEqual(list(model.inputs[0].shape), [-1, 4])
        self.assertEqual(list(model.outputs[0].shape), [-1, 4])

    def test_configuration(self):
        config = self.client.get_model_config("echo").config
        self.assertEqual(config.name, "echo")
        self.assertEqual(config.platform, "synthetic")
        self.assertEqual(config.max_batch_size, 8)
        self.assertEqual(list(config.input[0].dims), [4])

    def test_statistics(self):
        """perf_analyzer needs that requests were queued, and that all that is computed is counted alike."""
        def statistics():
            (found,) = self.client.get_inference_statistics("half").model_stats
            return found

        before = statistics()
        for _ in range(3):
            self.infer("half", np.zeros((2, 4), np.float16), "FP16")
        with self.assertRaises(InferenceServerException):
            self.infer("half", np.zeros((2, 4), np.float32), "FP32")
        after = statistics()
        self.assertEqual(after.inference_count - before.inference_count, 6)
        self.assertEqual(after.execution_count - before.execution_count, 3)
        was, now = before.inference_stats, after.inference_stats
        for name in ("success", "queue", "compute_input", "compute_infer", "compute_output"):
            self.assertEqual(getattr(now, name).count - getattr(was, name).count, 3, name)
        self.assertEqual(now.fail.count - was.fail.count, 1)
        for name in ("success", "queue", "compute_infer", "fail"):
            self.assertGreater(getattr(now, name).ns, getattr(was, name).ns, name)
        self.assertGreater(
            after.inference_stats.success.ns,
            after.inference_stats.queue.ns + after.inference_stats.compute_infer.ns,
        )

    def test_statistics_of_all_versions_unless_one_is_named(self):
        def versions(*named):
            found = self.client.get_inference_statistics(*named).model_stats
            return sorted((model.name, model.version) for model in found)

        self.assertEqual(versions("two"), [("two", "1"), ("two", "2")])
        self.assertEqual(versions("two", "1"), [("two", "1")])
        self.assertIn(("echo", "3"), versions())
        with self.assertRaisesRegex(InferenceServerException, "NOT_FOUND"):
            versions("two", "3")

    def test_repository_index(self):
        models = self.client.get_model_repository_index().models
        self.assertEqual(
            sorted((m.name, m.version, m.state) for m in models),
            [
                ("echo", "3", "READY"),
                ("half", "1", "READY"),
                ("slow", "1", "READY"),
                ("two", "1", "READY"),
                ("two", "2", "READY"),
                ("words", "1", "READY"),
            ],
        )

    def test_infer(self):
        sent = np.arange(8, dtype=np.float32).reshape(2, 4)
        reply = self.infer("echo", sent, "FP32", request_id="seven")
        np.testing.assert_array_equal(reply.as_numpy("OUTPUT0"), sent)
        self.assertEqual(reply.get_response().id, "seven")
        self.assertEqual(reply.get_response().model_version, "3")

    def test_infer_fp16(self):
        sent = np.array([[1.5, -0.0, 65504, np.inf]], dtype=np.float16)
        reply = self.infer("half", sent, "FP16")
        self.assertEqual(reply.as_numpy("OUTPUT0").tobytes(), sent.tobytes())

    def test_infer_bytes(self):
        sent = np.array([["alpha", "βeta", ""]], dtype=object)
        reply = self.infer("words", sent, "BYTES")
        self.assertEqual(
            [word.decode() for word in reply.as_numpy("OUTPUT0")[0]], ["alpha", "βeta", ""]
        )

    def test_async_infer(self):
        answers = queue.Queue()
        arrays = {}
        for number in range(32):
            arrays[str(number)] = np.full((1, 4), number, dtype=np.float32)
            sent = triton.InferInput("INPUT0", [1, 4], "FP32")
            sent.set_data_from_numpy(arrays[str(number)])
            self.client.async_infer(
                "echo",
                [sent],
                callback=lambda result, error: answers.put((result, error)),
                request_id=str(number),
            )
        for _ in range(len(arrays)):
            result, error = answers.get(timeout=TIMEOUT)
            self.assertIsNone(error)
            sent = arrays.pop(result.get_response().id)
            np.testing.assert_array_equal(result.as_numpy("OUTPUT0"), sent)
        self.assertFalse(arrays)

    def test_stream_infer(self):
        answers = queue.Queue()
        self.client.start_stream(callback=lambda result, error: answers.put((result, error)))
        self.addCleanup(self.client.stop_stream)
        for number in range(8):
            sent = triton.InferInput("INPUT0", [1, 4], "FP32")
            sent.set_data_from_numpy(np.full((1, 4), number, dtype=np.float32))
            self.client.async_stream_infer("echo", [sent], request_id=str(number))
        seen = {}
        for _ in range(8):
            result, error = answers.get(timeout=TIMEOUT)
            self.assertIsNone(error)
            seen[result.get_response().id] = result.as_numpy("OUTPUT0")[0, 0]
        self.assertEqual(seen, {str(number): number for number in range(8)})

    def test_errors_are_the_clients_exception_with_status_and_sentence(self):
        with self.assertRaises(InferenceServerException) as raised:
            self.infer("nobody", np.zeros((1, 4), np.float32), "FP32")
        self.assertEqual(raised.exception.status(), "StatusCode.NOT_FOUND")
        self.assertIn("nobody", raised.exception.message())

    def test_client_timeout_ends_the_call(self):
        with self.assertRaises(InferenceServerException) as raised:
            self.infer("slow", np.zeros((1, 4), np.float32), "FP32", client_timeout=0.2)
        self.assertEqual(raised.exception.status(), "StatusCode.DEADLINE_EXCEEDED")


if __name__ == "__main__":
    harness.main()
