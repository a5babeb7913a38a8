"""Clients that do not read their answers, beside others that do."""

import threading
import unittest

import grpc
import harness
import numpy as np
from harness import protos
from harness.repository import Repository
from harness.server import Server
from harness.tensors import infer_outputs, infer_request, predict_request

TIMEOUT = 60
# The worker's arena holds 64 of these answers.
ROW = np.random.default_rng(1).random((1, 1 << 16), dtype=np.float32)
UNREAD = 100
FLAGS = (
    "--pool=cpu=device:cpu,processes:1,lanes:2,threads:1,output_arena:16MiB",
    # Of copied answers one client may leave an eighth unread, which are 32 of these.
    "--max-network-bytes=64MiB",
)
# Four in the arena, and copies of all but their raw bytes.
MOST_UNREAD = 4 + 32
WITHOUT_WINDOW = [
    ("grpc.http2.bdp_probe", 0),
    ("grpc.http2.lookahead_bytes", 5),
    ("grpc.use_local_subchannel_pool", 1),
]
# More than a worker has places for answers, on connections that each take so many calls.
CONNECTIONS, CALLS = 5, 1000


class UnreadAnswersTest(unittest.TestCase):
    def setUp(self):
        repository = self.enterContext(Repository())
        wide = (("INPUT0", "TYPE_FP32", [-1]),), (("OUTPUT0", "TYPE_FP32", [-1]),)
        repository.synthetic("wide", inputs=wide[0], outputs=wide[1], max_batch_size=1)
        self.server = self.enterContext(Server(repository.path, flags=FLAGS))
        self.request = infer_request("wide", {"INPUT0": ROW})

    def ask_without_reading(self, channel, count, request=None):
        """Calls whose answers are not read before somebody iterates over them."""
        request = request or self.request
        ask = channel.unary_stream(
            "/inference.GRPCInferenceService/ModelInfer",
            request_serializer=protos.message("inference.ModelInferRequest").SerializeToString,
            response_deserializer=protos.message("inference.ModelInferResponse").FromString,
        )
        return [ask(request, timeout=TIMEOUT) for _ in range(count)]

    def connect(self):
        return self.enterContext(grpc.insecure_channel(self.server.address, options=WITHOUT_WINDOW))

    def answered(self):
        return sum(model.requests for model in self.server.status().models)

    def wait_until_answered(self, count):
        with self.server.news() as wait:
            while self.answered() < count:
                wait()

    def check_served(self, times):
        for _ in range(times):
            reply = self.server.infer.ModelInfer(self.request, timeout=TIMEOUT)
            np.testing.assert_array_equal(infer_outputs(reply)["OUTPUT0"], ROW)

    def test_unread_answers_keep_nobody_from_being_answered(self):
        refused = []
        enough = threading.Event()

        def count(call):
            if call.code() == grpc.StatusCode.RESOURCE_EXHAUSTED:
                refused.append(call.details())
                if len(refused) >= UNREAD - MOST_UNREAD:
                    enough.set()

        channel = self.connect()
        calls = self.ask_without_reading(channel, UNREAD)
        for call in calls:
            call.add_done_callback(lambda call=call: count(call))
        self.wait_until_answered(UNREAD)
        self.check_served(20)
        self.assertTrue(enough.wait(TIMEOUT))
        for details in refused:
            self.assertIn("model 'wide': the answer has 262144 bytes, and ", details)
            self.assertIn("unread on this connection; read them first", details)
        # The others come as they are, as soon as they are read.
        answers = []
        for call in calls:
            if call.done():
                continue
            (reply,) = list(call)
            answers.append(infer_outputs(reply)["OUTPUT0"])
        self.assertEqual(len(answers), MOST_UNREAD)
        for answer in answers:
            np.testing.assert_array_equal(answer, ROW)
        # Room again.
        (reply,) = list(self.ask_without_reading(channel, 1)[0])
        np.testing.assert_array_equal(infer_outputs(reply)["OUTPUT0"], ROW)

    def test_small_unread_answers_keep_no_places(self):
        small = infer_request("wide", {"INPUT0": ROW[:, :4]})
        calls = []
        for number in range(1, CONNECTIONS + 1):
            calls += self.ask_without_reading(self.connect(), CALLS, small)
            self.wait_until_answered(number * CALLS)
        self.check_served(5)
        (reply,) = list(calls[0])
        np.testing.assert_array_equal(infer_outputs(reply)["OUTPUT0"], ROW[:, :4])

    def test_a_client_that_goes_gives_its_share_back(self):
        for _ in range(3):
            before = self.answered()
            with grpc.insecure_channel(self.server.address, options=WITHOUT_WINDOW) as channel:
                calls = self.ask_without_reading(channel, UNREAD)
                self.wait_until_answered(before + UNREAD)
                self.check_served(2)
                del calls

    def test_unread_answers_of_predict_keep_nobody_from_being_answered(self):
        request = predict_request({"INPUT0": ROW}, cpu=["wide"])
        for method, answer in (
            ("Predict", "tandem.v1.PredictResponse"),
            ("PredictStream", "tandem.v1.PredictStreamResponse"),
        ):
            with self.subTest(method=method):
                ask = self.connect().unary_stream(
                    "/tandem.v1.PredictionService/" + method,
                    request_serializer=type(request).SerializeToString,
                    response_deserializer=protos.message(answer).FromString,
                )
                before = self.answered()
                calls = [ask(request, timeout=TIMEOUT) for _ in range(UNREAD)]
                self.wait_until_answered(before + UNREAD)
                self.check_served(5)
                refused = 0
                for call in calls:
                    try:
                        replies = list(call)
                        last = replies[-1] if method == "Predict" else replies[-1].merged
                        self.assertEqual(list(last.raw_output_contents), [ROW.tobytes()])
                    except grpc.RpcError as error:
                        self.assertEqual(error.code(), grpc.StatusCode.RESOURCE_EXHAUSTED)
                        self.assertIn("read them first", error.details())
                        refused += 1
                self.assertGreaterEqual(refused, UNREAD - MOST_UNREAD)

    def test_results_of_one_reply_that_are_too_much_have_a_status_of_their_own(self):
        # More than the arena holds: those that are too much leave it at once.
        calls = [{"name": "wide", "key": f"call {i}"} for i in range(200)]
        service = self.server.prediction
        request = predict_request({"INPUT0": ROW}, cpu=calls, merge_policy="MERGE_POLICY_PARTIAL")
        reply = service.Predict(request, timeout=TIMEOUT)
        refused = [result for result in reply.results if result.status_code]
        self.assertEqual(len(reply.results) - len(refused), MOST_UNREAD)
        self.assertEqual(len(reply.raw_output_contents), MOST_UNREAD)
        for result in refused:
            self.assertEqual(result.status_code, grpc.StatusCode.RESOURCE_EXHAUSTED.value[0])
            self.assertIn(f"the {MOST_UNREAD} results before it in this", result.status_message)
            self.assertFalse(result.outputs)
        # All of them or none.
        request = predict_request({"INPUT0": ROW}, cpu=calls)
        with self.assertRaises(grpc.RpcError) as failed:
            service.Predict(request, timeout=TIMEOUT)
        self.assertEqual(failed.exception.code(), grpc.StatusCode.RESOURCE_EXHAUSTED)
        self.assertIn("call fewer models at once", failed.exception.details())

    def test_a_connection_cannot_leave_more_unread_by_many_streams(self):
        ask = protos.infer_service(self.connect()).ModelStreamInfer
        calls = [ask(iter([self.request]), timeout=TIMEOUT) for _ in range(UNREAD)]
        self.wait_until_answered(UNREAD)
        self.check_served(5)
        whole = 0
        for call in calls:
            (reply,) = list(call)
            if reply.error_message:
                self.assertIn("read them first", reply.error_message)
                continue
            outputs = infer_outputs(reply.infer_response)
            np.testing.assert_array_equal(outputs["OUTPUT0"], ROW)
            whole += 1
        self.assertIn(whole, range(1, MOST_UNREAD))


if __name__ == "__main__":
    harness.main()
