"""One copy in, none out: what the server's process allocates and copies for a request."""

import concurrent.futures
import unittest

import harness
import numpy as np
from harness import memory_counts, protos
from harness.memory_counts import MemoryCounter
from harness.repository import Repository
from harness.server import CPU_POOL, Server
from harness.tensors import (
    add_input,
    infer_outputs,
    infer_request,
    predict_request,
    result_outputs,
)

TIMEOUT = 60
LARGE = np.random.default_rng(1).random((1, 150_000), dtype=np.float32)
SMALL = LARGE[:, :4]
# What a request costs besides its tensors: names, frames, replies' heads.
BESIDES = LARGE.nbytes // 20
# No allocation of a request may be as large: a power of 2 below the tensor's size.
TENSOR_SIZED = 1 << 18


@unittest.skipUnless(memory_counts.is_available(), "this build has no counter of memory")
class CopiesTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        repository = cls.enterClassContext(Repository())
        for name in ("first", "second"):
            repository.synthetic(
                name,
                inputs=(("INPUT0", "TYPE_FP32", [-1]),),
                outputs=(("OUTPUT0", "TYPE_FP32", [-1]),),
                extra="dynamic_batching { }",
            )
        cls.counter = cls.enterClassContext(MemoryCounter())
        server = Server(repository.path, flags=(CPU_POOL,))
        cls.server = cls.enterClassContext(cls.counter.watch(server))

    def infer(self, request, expected):
        reply = self.server.infer.ModelInfer(request, timeout=TIMEOUT)
        np.testing.assert_array_equal(infer_outputs(reply)["OUTPUT0"], expected)

    def predict(self, request, expected):
        reply = self.server.prediction.Predict(request, timeout=TIMEOUT)
        for result in reply.results:
            outputs = result_outputs(result, reply.raw_output_contents)
            np.testing.assert_array_equal(outputs["OUTPUT0"], expected)

    def count(self, what, ask):
        """Prints the figures: they are for the eye, since they differ between versions of gRPC."""
        counts = self.counter.per_request(ask)
        print(
            f"\n  {what}: {counts.allocations():.1f} allocations of together"
            f" {counts.allocated_bytes():.0f} B ({counts.allocations_by_size()}),"
            f" {counts.copies():.1f} copies of together {counts.copied_bytes():.0f} B",
            flush=True,
        )
        return counts

    def check_copied(self, counts, times):
        self.assertGreaterEqual(counts.copied_bytes(), times * LARGE.nbytes)
        self.assertLess(counts.copied_bytes(), times * LARGE.nbytes + BESIDES)

    def check_allocated(self, counts):
        """Nothing but what gRPC reads the request into, which it does in pieces."""
        self.assertEqual(counts.allocations(of_at_least=TENSOR_SIZED), 0)
        self.assertLess(counts.allocated_bytes(), 1.5 * LARGE.nbytes)

    def test_a_raw_tensor_is_copied_once_by_model_infer(self):
        request = infer_request("first", {"INPUT0": LARGE})
        counts = self.count("ModelInfer, 600 kB", lambda: self.infer(request, LARGE))
        self.check_copied(counts, 1)
        self.check_allocated(counts)

    def test_a_raw_tensor_is_copied_once_for_each_model_of_predict(self):
        for models in (["first"], ["first", "second"]):
            with self.subTest(models=models):
                request = predict_request({"INPUT0": LARGE}, cpu=models)
                counts = self.count(
                    f"Predict, {len(models)} model(s), 600 kB",
                    lambda request=request: self.predict(request, LARGE),
                )
                self.check_copied(counts, len(models))
                self.check_allocated(counts)

    def test_requests_that_join_a_batch_are_copied_once_each(self):
        clients = 4
        request = infer_request("first", {"INPUT0": LARGE})
        with concurrent.futures.ThreadPoolExecutor(clients) as pool:

            def ask_together():
                asked = [pool.submit(self.infer, request, LARGE) for _ in range(clients)]
                for one in asked:
                    one.result()

            counts = self.count("ModelInfer, 4 clients, 600 kB", ask_together) / clients
        self.check_copied(counts, 1)
        self.check_allocated(counts)

    def test_typed_contents_are_copied_more_often_and_the_counter_sees_it(self):
        request = protos.message("inference.ModelInferRequest")(model_name="first")
        add_input(request.inputs, "INPUT0", LARGE)
        request.inputs[0].contents.fp32_contents.extend(LARGE.ravel())
        counts = self.count("ModelInfer, typed, 600 kB", lambda: self.infer(request, LARGE))
        self.assertGreater(counts.copied_bytes(), 1.5 * LARGE.nbytes)
        self.assertGreaterEqual(counts.allocations(of_at_least=TENSOR_SIZED), 1)

    def test_small_requests_cost_nothing_of_a_tensors_size(self):
        infer = infer_request("first", {"INPUT0": SMALL})
        predict = predict_request({"INPUT0": SMALL}, cpu=["first", "second"])
        for what, ask in (
            ("ModelInfer, 16 B", lambda: self.infer(infer, SMALL)),
            ("Predict, 2 models, 16 B", lambda: self.predict(predict, SMALL)),
        ):
            with self.subTest(what=what):
                counts = self.count(what, ask)
                self.assertEqual(counts.allocations(of_at_least=TENSOR_SIZED), 0)
                self.assertLess(counts.copied_bytes(), BESIDES)


if __name__ == "__main__":
    harness.main()
