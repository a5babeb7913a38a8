"""TorchScript models through the server: with and without config.pbtxt, on the CPU pool and the
stand-in of a GPU's.
"""

import os
import subprocess
import sys
import unittest

import grpc
import harness
import numpy as np
from harness import build_path, has_torch, protos, source_path
from harness.processes import children
from harness.repository import Repository, config
from harness.server import Server
from harness.tensors import infer_outputs, infer_request, predict_request, result_outputs

TIMEOUT = 60
ROW = np.array([[1, 2, 3, 4]], dtype=np.float32)
AFFINE = np.array([1, 2, 3, 4], dtype=np.float32)


def torch_config(name, **settings):
    return config(name, platform="pytorch_libtorch", **settings).encode()


@unittest.skipUnless(os.path.exists(build_path("tandem-worker")), "this build has no LibTorch")
@unittest.skipUnless(has_torch(), "Python's torch is not installed")
class TorchScriptTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        repository = cls.enterClassContext(Repository())
        maker = source_path("tests/support/harness/make_torchscript.py")
        subprocess.run([sys.executable, maker, repository.path], check=True)
        repository.write(
            "affine/config.pbtxt",
            torch_config("affine", kinds=["KIND_CPU", "KIND_GPU"], extra="dynamic_batching { }"),
        )
        repository.write(
            "several/config.pbtxt",
            torch_config(
                "several",
                inputs=[("y", "TYPE_FP32", [4]), ("x", "TYPE_FP32", [4])],
                outputs=[("sum", "TYPE_FP32", [4]), ("difference", "TYPE_FP32", [4])],
            ),
        )
        repository.write(
            "dict_of/config.pbtxt",
            torch_config(
                "dict_of",
                inputs=[("x", "TYPE_FP32", [4])],
                outputs=[("double", "TYPE_FP32", [4]), ("sum", "TYPE_FP32", [1])],
            ),
        )
        repository.write(
            "scalars/config.pbtxt",
            torch_config(
                "scalars",
                inputs=[
                    ("x", "TYPE_FP32", [-1]),
                    ("times", "TYPE_INT64", [1]),
                    ("plus", "TYPE_FP64", [1]),
                    ("negate", "TYPE_BOOL", [1]),
                    ("word", "TYPE_STRING", [1]),
                ],
                outputs=[("y", "TYPE_FP32", [-1])],
                max_batch_size=0,
                parameters={"method": "scaled"},
            ),
        )
        repository.write(
            "add_single/config.pbtxt",
            torch_config(
                "add_single",
                inputs=[("x", "TYPE_FP32", [-1]), ("number", "TYPE_FP32", [1])],
                outputs=[("y", "TYPE_FP32", [-1])],
                max_batch_size=0,
            ),
        )
        good = os.path.join(repository.path, "same", "1", "model.pt")
        with open(good, "rb") as file:
            data = file.read()
        repository.write("corrupt/1/model.pt", b"this is no model")
        repository.write("truncated/1/model.pt", data[: len(data) // 2])
        repository.write(
            "no_method/config.pbtxt", torch_config("no_method", parameters={"method": "gone"})
        )
        repository.write("no_method/1/model.pt", data)
        cls.server = cls.enterClassContext(Server(repository.path, worker=None))

    def infer(self, model, arrays):
        reply = self.server.infer.ModelInfer(infer_request(model, arrays), timeout=TIMEOUT)
        return infer_outputs(reply)

    def refused(self, model, arrays, code, *words):
        with self.assertRaises(grpc.RpcError) as raised:
            self.infer(model, arrays)
        self.assertEqual(raised.exception.code(), code, raised.exception.details())
        for word in words:
            self.assertIn(word, raised.exception.details())
        self.assertNotRegex(raised.exception.details(), r"(^|[\s'\"(])/\w+/|0x[0-9a-f]{6,}")

    def niceness(self):
        """Of each thread of each worker, by its name."""
        found = {}
        for worker in children(self.server.process.pid):
            for thread in os.listdir(f"/proc/{worker}/task"):
                with open(f"/proc/{worker}/task/{thread}/comm", encoding="ascii") as file:
                    found[file.read().strip()] = os.getpriority(os.PRIO_PROCESS, int(thread))
        return found

    def test_what_computes_for_long_runs_on_a_nicer_thread_once_that_is_known(self):
        one = np.zeros((1, 4), np.float32)
        self.infer("same", {"INPUT__0": one})
        self.assertNotIn("heavy-0", self.niceness())
        # Each lane has a thread of its own for it.
        for _ in range(3):
            outputs = self.infer("toils", {"INPUT__0": one})
            np.testing.assert_array_equal(outputs["OUTPUT__0"], one)
        niceness = self.niceness()
        heavy = {name: nice for name, nice in niceness.items() if name.startswith("heavy-")}
        self.assertTrue(heavy, niceness)
        own = os.getpriority(os.PRIO_PROCESS, self.server.process.pid)
        self.assertEqual(set(heavy.values()), {19})
        self.assertEqual(niceness["lane-0"], max(own, 10))

    def test_numbers_next_to_zero_are_flushed(self):
        tiny = np.full((1, 4), 1e-39, dtype=np.float32)
        self.assertTrue((tiny > 0).all())
        outputs = self.infer("list_of", {"INPUT__0": tiny})
        # [x, 2 x, 3 x]: what is computed with them is 0, and costs no more than other numbers.
        np.testing.assert_array_equal(outputs["OUTPUT__0"], tiny)
        np.testing.assert_array_equal(outputs["OUTPUT__1"], np.zeros_like(tiny))

    def test_a_model_runs_on_both_pools(self):
        reply = self.server.prediction.Predict(
            predict_request(
                {"INPUT0": ROW},
                cpu=[{"name": "affine", "key": "cpu"}],
                gpu=[{"name": "affine", "key": "gpu"}],
            ),
            timeout=TIMEOUT,
        )
        for result in reply.results:
            self.assertEqual(result.placement.pool, result.key)
            outputs = result_outputs(result, reply.raw_output_contents)
            np.testing.assert_array_equal(outputs["OUTPUT0"], ROW * AFFINE + 1)

    def test_batched_requests_get_their_own_rows(self):
        calls = []
        for number in range(64):
            request = infer_request("affine", {"INPUT0": ROW * number})
            calls.append(self.server.infer.ModelInfer.future(request, timeout=TIMEOUT))
        for number, call in enumerate(calls):
            outputs = infer_outputs(call.result())
            np.testing.assert_array_equal(outputs["OUTPUT0"], ROW * number * AFFINE + 1)

    def test_inputs_named_as_the_arguments_go_there(self):
        outputs = self.infer("several", {"x": ROW * 3, "y": ROW})
        np.testing.assert_array_equal(outputs["sum"], ROW * 4)
        np.testing.assert_array_equal(outputs["difference"], ROW * 2)

    def test_a_list_comes_back_as_outputs_by_convention(self):
        outputs = self.infer("list_of", {"INPUT__0": ROW})
        self.assertEqual(sorted(outputs), ["OUTPUT__0", "OUTPUT__1", "OUTPUT__2"])
        np.testing.assert_array_equal(outputs["OUTPUT__2"], ROW * 3)

    def test_a_dict_comes_back_by_its_keys(self):
        outputs = self.infer("dict_of", {"x": ROW})
        np.testing.assert_array_equal(outputs["sum"], [[10]])
        np.testing.assert_array_equal(outputs["double"], ROW * 2)

    def test_scalar_arguments_of_another_method_are_taken_from_tensors_of_one_element(self):
        arrays = {
            "x": np.array([1, 2, 3], dtype=np.float32),
            "times": np.array([5], dtype=np.int64),
            "plus": np.array([0.5], dtype=np.float64),
            "negate": np.array([True]),
            "word": np.array([b"keep"], dtype=object),
        }
        np.testing.assert_array_equal(self.infer("scalars", arrays)["y"], [-5.5, -10.5, -15.5])
        arrays["word"][0] = b"drop"
        np.testing.assert_array_equal(self.infer("scalars", arrays)["y"], [0, 0, 0])

    def test_without_config_a_number_of_the_method_has_python_s_own_type(self):
        number = np.array([0.5], dtype=np.float64)
        outputs = self.infer("add_number", {"INPUT__0": ROW, "INPUT__1": number})
        np.testing.assert_array_equal(outputs["OUTPUT__0"], ROW + 0.5)
        self.refused(
            "add_number",
            {"INPUT__0": ROW, "INPUT__1": number.astype(np.float32)},
            grpc.StatusCode.INVALID_ARGUMENT,
            *("add_number", "INPUT__1", "FP64", "FP32"),
        )

    def test_a_config_may_have_a_number_of_the_method_sent_as_fp32(self):
        arrays = {"x": ROW[0], "number": np.array([0.5], dtype=np.float32)}
        np.testing.assert_array_equal(self.infer("add_single", arrays)["y"], ROW[0] + 0.5)

    def test_without_config_a_model_takes_any_shape_and_type(self):
        types = [np.bool_, np.uint8, np.int8, np.int16, np.int32, np.int64]
        for dtype in [*types, np.float16, np.float32, np.float64]:
            with self.subTest(np.dtype(dtype).name):
                sent = np.arange(24).reshape(2, 3, 4).astype(dtype)
                outputs = self.infer("same", {"INPUT__0": sent})
                self.assertEqual(outputs["OUTPUT__0"].dtype, sent.dtype)
                np.testing.assert_array_equal(outputs["OUTPUT__0"], sent)

    def test_bf16_passes_bit_by_bit(self):
        request = infer_request("same", {"INPUT__0": np.array([0x3F80, 0xC000], np.uint16)})
        request.inputs[0].datatype = "BF16"
        reply = self.server.infer.ModelInfer(request, timeout=TIMEOUT)
        self.assertEqual(reply.outputs[0].datatype, "BF16")
        self.assertEqual(reply.raw_output_contents[0], request.raw_input_contents[0])

    def test_an_exception_of_the_model_is_told_in_its_own_words(self):
        np.testing.assert_array_equal(self.infer("raises", {"INPUT__0": -ROW})["OUTPUT__0"], -ROW)
        words = ("raises", "positive numbers are not for this model")
        self.refused("raises", {"INPUT__0": ROW}, grpc.StatusCode.INTERNAL, *words)

    def test_a_shape_that_the_model_cannot_take_fails_that_request_alone(self):
        with self.assertRaises(grpc.RpcError) as raised:
            self.infer("multiply", {"INPUT__0": np.ones((1, 5), np.float32)})
        self.assertIn(
            raised.exception.code(), (grpc.StatusCode.INTERNAL, grpc.StatusCode.INVALID_ARGUMENT)
        )
        self.assertIn("multiply", raised.exception.details())
        outputs = self.infer("multiply", {"INPUT__0": np.ones((1, 3), np.float32)})
        np.testing.assert_array_equal(outputs["OUTPUT__0"], [[3, 3]])

    def test_files_that_are_no_models_are_listed_with_the_reason(self):
        index = self.server.index()
        for name in ("corrupt", "truncated", "no_method"):
            state, reason = index[name, "1"]
            self.assertEqual(state, "UNAVAILABLE", name)
            self.assertGreater(len(reason.split()), 3, name)
            self.assertNotRegex(reason, r"(^|[\s'\"(])/\w+/")
        self.assertIn("gone", index["no_method", "1"][1])
        self.assertEqual(index["affine", "1"], ("READY", ""))

    def test_metadata_of_a_model_without_config_names_inputs_by_convention(self):
        request = protos.message("inference.ModelMetadataRequest")(name="same")
        reply = self.server.infer.ModelMetadata(request, timeout=TIMEOUT)
        self.assertEqual(reply.platform, "pytorch_libtorch")
        self.assertEqual([i.name for i in reply.inputs], ["INPUT__0"])


if __name__ == "__main__":
    harness.main()
