"""`tandem bench`: what it tells where a load is past what is served, and what it refuses to send."""

import base64
import concurrent.futures
import json
import os
import signal
import subprocess
import tempfile
import threading
import unittest

import grpc
import harness
import numpy as np
from harness import build_path, protos
from harness.repository import Repository
from harness.server import Server, clean_environment, run_to_end

DONE, FAILED, BAD_USAGE, NO_SERVER, INTERRUPTED = 0, 1, 2, 3, 130
# More than any server takes.
FAR_TOO_MUCH = 2_000_000
# Bound of waiting.
LONG = 60


class Fake:
    """A server of the protocol that says of its model what it is told to, and answers `calls` calls;
    with the next one it is gone.
    """

    def __init__(self, inputs, calls=1_000_000_000):
        self._inputs = inputs
        self._calls = calls
        self._peers = set()
        # Set when a call comes over a third connection.
        self.third_connection = threading.Event()
        self._server = grpc.server(concurrent.futures.ThreadPoolExecutor(4))
        service = "inference.GRPCInferenceService"
        handlers = {
            "ModelMetadata": self._handler("ModelMetadata", self._metadata),
            "ModelInfer": self._handler("ModelInfer", self._infer),
        }
        self._server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(service, handlers),)
        )
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"

    def __enter__(self):
        self._server.start()
        return self

    def __exit__(self, *_):
        self._server.stop(None).wait()

    @staticmethod
    def _handler(method, answer):
        request = protos.message(f"inference.{method}Request")
        reply = protos.message(f"inference.{method}Response")
        return grpc.unary_unary_rpc_method_handler(
            answer, request.FromString, reply.SerializeToString
        )

    def _metadata(self, request, _):
        reply = protos.message("inference.ModelMetadataResponse")(name=request.name)
        for name, shape in self._inputs:
            reply.inputs.add(name=name, datatype="FP32", shape=shape)
        return reply

    def _infer(self, request, context):
        self._peers.add(context.peer())
        if len(self._peers) == 3:
            self.third_connection.set()
        if self._calls == 0:
            self._server.stop(None)
            context.abort(grpc.StatusCode.UNAVAILABLE, "going")
        self._calls -= 1
        return protos.message("inference.ModelInferResponse")(model_name=request.model_name)


class BenchTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        repository = cls.enterClassContext(Repository())
        repository.synthetic("light")
        repository.synthetic("late", parameters={"alpha_us": 400_000})
        any_size = ("INPUT0", "TYPE_FP32", [-1, -1]), ("OUTPUT0", "TYPE_FP32", [-1, -1])
        for name, most in (("whole", 0), ("batched", 8)):
            repository.synthetic(
                name, inputs=[any_size[0]], outputs=[any_size[1]], max_batch_size=most
            )
        cls.server = cls.enterClassContext(Server(repository.path))
        cls.folder = cls.enterClassContext(tempfile.TemporaryDirectory())

    def bench(self, *arguments, code=DONE, target=None, command="bench"):
        """Output and errors of a run that ends with that code, or one of them."""
        target = target or self.server.address
        got, out, error = run_to_end([command, *arguments, "--target=" + target])
        self.assertIn(got, code if isinstance(code, tuple) else (code,), out + error)
        return out, error

    def level(self, *arguments, code=DONE):
        out, _ = self.bench(*arguments, "--json", "--warm-up=0.2", "--seconds=0.2", code=code)
        (level,) = json.loads(out)["levels"]
        return level

    def test_an_open_loop_past_what_is_served_tells_what_it_never_sent(self):
        # What comes beyond the queue's room is refused, which is a failure.
        either = (DONE, FAILED)
        level = self.level("light", f"--rate={FAR_TOO_MUCH}", code=either)
        self.assertGreater(level["calls"], 0)
        # Every call that was due in the measured time is in one of the figures.
        told = level["calls"] + level.get("refused", {"calls": 0})["calls"] + level["unsent"]
        self.assertAlmostEqual(told / (FAR_TOO_MUCH * 0.2), 1, delta=0.001)
        out, error = self.bench(
            "light", f"--rate={FAR_TOO_MUCH}", "--warm-up=0", "--seconds=0.1", code=either
        )
        self.assertIn("UNSENT", out)
        self.assertRegex(error, r"2e\+06/s: \d+ calls .* were never sent")

    def test_a_level_without_an_answer_has_no_latency_and_fails(self):
        short = ["late", "--warm-up=0", "--seconds=0.05"]
        out, error = self.bench(*short, code=FAILED)
        self.assertRegex(out, r"1 +0\.0 +- +- +- +- +- +0 ")
        self.assertIn("give a longer --seconds", error)
        out, _ = self.bench(*short, "--json", code=FAILED)
        (level,) = json.loads(out)["levels"]
        self.assertEqual(level["calls"], 0)
        self.assertEqual(set(level["latency_us"].values()), {None})

    def test_a_request_larger_than_the_bound_is_refused_before_it_is_made(self):
        for shape in ("9223372036854775807", "4294967296,4294967296", "16384,16385"):
            _, error = self.bench("whole", "--shape=INPUT0:" + shape, code=BAD_USAGE)
            self.assertIn("INPUT0", error)
        self.assertIn("1024 MiB", error)
        for inputs in (
            [("x", [1 << 34])],
            [("x", [1 << 62, 1 << 62])],
            [(f"x{i}", [1 << 20]) for i in range(300)],
            [(f"x{i}", [1]) for i in range(100_000)],
        ):
            with self.subTest(inputs=len(inputs)), Fake(inputs) as fake:
                _, error = self.bench("m", code=NO_SERVER, target=fake.address)
                self.assertIn("server says", error)

    def test_a_folder_is_no_file(self):
        folder = os.path.join(self.folder, "folder.json")
        os.makedirs(folder, exist_ok=True)
        for command, argument in (
            ("bench", "--input-data=" + folder),
            ("bench", "--input=INPUT0=" + folder),
            ("infer", "--input=INPUT0=" + folder),
        ):
            with self.subTest(command=command, argument=argument):
                _, error = self.bench("light", argument, code=BAD_USAGE, command=command)
                self.assertIn("is a folder", error)

    def test_a_server_that_is_lost_ends_the_levels(self):
        with Fake([("x", [1])], calls=50) as fake:
            out, error = self.bench(
                "m", "--concurrency=1,1,1", "--warm-up=0", "--seconds=0.5", "--timeout=2", "--json",
                target=fake.address, code=NO_SERVER,
            )
        report = json.loads(out)
        self.assertEqual(len(report["levels"]), 1)
        self.assertEqual(report["levels"][0]["calls"], 49)
        self.assertEqual(report["error"]["code"], "UNAVAILABLE")
        self.assertIn("1 of 3 levels were measured", error)

    def test_an_interrupted_run_prints_the_levels_that_are_finished(self):
        with Fake([("x", [1])]) as fake:
            levels = ",".join(["1"] * 600)
            process = subprocess.Popen(
                [build_path("tandem"), "bench", "m", "--target=" + fake.address, "--json"]
                + ["--concurrency=" + levels, "--warm-up=0", "--seconds=0.1"],
                env=clean_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            )
            # The first is of the requests before the levels.
            self.assertTrue(fake.third_connection.wait(LONG))
            process.send_signal(signal.SIGINT)
            out, error = process.communicate(timeout=LONG)
        self.assertEqual(process.returncode, INTERRUPTED, error)
        report = json.loads(out)
        self.assertGreaterEqual(len(report["levels"]), 1)
        self.assertLess(len(report["levels"]), 600)
        self.assertEqual(report["error"]["code"], "CANCELLED")

    def test_a_shape_may_have_all_of_the_models_dimensions(self):
        for model, shape in (("whole", "2,3"), ("batched", "3,4"), ("batched", "2,3,4")):
            with self.subTest(model=model, shape=shape):
                self.level(model, "--shape=" + shape)
        _, error = self.bench("batched", "--shape=2,3,4", "--batch=4", code=BAD_USAGE)
        self.assertIn("--batch 4", error)

    def test_bytes_in_base64_are_taken_as_perf_analyzer_writes_them(self):
        path = os.path.join(self.folder, "bytes.json")
        row = base64.b64encode(np.array([1, 2, 3, 4], np.float32).tobytes()).decode()
        for value, code in (
            ({"b64": row, "shape": [4]}, DONE),
            ({"b64": row}, DONE),
            ({"b64": row[:-4]}, BAD_USAGE),
        ):
            with open(path, "w", encoding="ascii") as file:
                json.dump({"data": [{"INPUT0": value}]}, file)
            with self.subTest(value=value):
                self.bench("light", "--input-data=" + path, "--seconds=0.1", code=code)


if __name__ == "__main__":
    harness.main()
