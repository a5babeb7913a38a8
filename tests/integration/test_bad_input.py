"""What the server refuses: the status, and a sentence that says what was expected and what came."""

import re
import unittest

import grpc
import harness
import numpy as np
from harness import protos
from harness.processes import children, resident_bytes
from harness.repository import Repository
from harness.server import Server
from harness.tensors import infer_outputs, infer_request, predict_request

TIMEOUT = 30
INVALID = grpc.StatusCode.INVALID_ARGUMENT
ROW = np.array([[1, 2, 3, 4]], dtype=np.float32)
INFER = "/inference.GRPCInferenceService/ModelInfer"
PREDICT = "/tandem.v1.PredictionService/Predict"
QUERIES = [
    *(
        f"/inference.GRPCInferenceService/{method}"
        for method in (
            "ServerLive",
            "ServerReady",
            "ServerMetadata",
            "ModelReady",
            "ModelMetadata",
            "ModelConfig",
            "ModelStatistics",
            "RepositoryIndex",
            "RepositoryModelLoad",
            "RepositoryModelUnload",
        )
    ),
    "/tandem.v1.PredictionService/ServerStatus",
]


class BadInputTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        repository = cls.enterClassContext(Repository())
        repository.synthetic("echo")
        repository.synthetic(
            "pair",
            inputs=[("A", "TYPE_FP32", [4]), ("B", "TYPE_INT32", [-1])],
            outputs=[("X", "TYPE_FP32", [4]), ("Y", "TYPE_INT32", [-1])],
        )
        repository.synthetic(
            "words",
            inputs=[("INPUT0", "TYPE_STRING", [-1])],
            outputs=[("OUTPUT0", "TYPE_STRING", [-1])],
        )
        repository.synthetic(
            "anything",
            inputs=[("INPUT0", "TYPE_FP32", [-1, -1])],
            outputs=[("OUTPUT0", "TYPE_FP32", [-1, -1])],
        )
        cls.server = cls.enterClassContext(Server(repository.path))

    def tearDown(self):
        # Whatever was refused, the server goes on.
        reply = self.server.infer.ModelInfer(
            infer_request("echo", {"INPUT0": ROW}), timeout=TIMEOUT
        )
        np.testing.assert_array_equal(infer_outputs(reply)["OUTPUT0"], ROW)

    def refused(self, request, code=INVALID, words=()):
        """Asserts that ModelInfer fails with `code` and a clear message that holds all `words`."""
        with self.assertRaises(grpc.RpcError) as raised:
            self.server.infer.ModelInfer(request, timeout=TIMEOUT)
        error = raised.exception
        self.assertEqual(error.code(), code, error.details())
        self.check_message(error.details(), words)

    def check_message(self, message, words):
        for word in words:
            self.assertIn(str(word), message)
        self.assertNotRegex(message, r"(^|[\s'\"(])/\w+/", "the message holds a path")
        self.assertNotRegex(message, r"0x[0-9a-fA-F]{6,}", "the message holds an address")
        self.assertGreater(len(message.split()), 3, "the message is no sentence")

    def test_an_unknown_model_or_version_is_not_found(self):
        not_found = grpc.StatusCode.NOT_FOUND
        self.refused(infer_request("nobody", {"INPUT0": ROW}), not_found, ["nobody"])
        self.refused(infer_request("echo", {"INPUT0": ROW}, version="9"), not_found, ["echo", "9"])
        for name in ("../echo", "echo/1", "", "é", "x" * 10000):
            with self.assertRaises(grpc.RpcError) as raised:
                self.server.infer.ModelInfer(infer_request(name, {"INPUT0": ROW}), timeout=TIMEOUT)
            self.assertIn(raised.exception.code(), (not_found, INVALID))
        for method in ("ModelMetadata", "ModelConfig"):
            request = protos.message(f"inference.{method}Request")(name="nobody")
            with self.assertRaises(grpc.RpcError) as raised:
                getattr(self.server.infer, method)(request, timeout=TIMEOUT)
            self.assertEqual(raised.exception.code(), not_found)

    def test_a_version_that_is_no_number_is_refused(self):
        for version in ("one", "-1", "1.5", "99999999999999999999", "1 "):
            request = infer_request("echo", {"INPUT0": ROW}, version=version)
            with self.assertRaises(grpc.RpcError) as raised:
                self.server.infer.ModelInfer(request, timeout=TIMEOUT)
            self.assertIn(
                raised.exception.code(), (INVALID, grpc.StatusCode.NOT_FOUND), repr(version)
            )

    def test_a_wrong_input_name(self):
        self.refused(infer_request("echo", {"INPUT7": ROW}), words=["echo", "INPUT7", "INPUT0"])

    def test_a_wrong_output_name(self):
        request = infer_request("echo", {"INPUT0": ROW}, outputs=["OUTPUT7"])
        self.refused(request, words=["echo", "OUTPUT7"])

    def test_a_missing_input(self):
        self.refused(infer_request("pair", {"A": ROW}), words=["pair", "B"])
        self.refused(infer_request("echo", {}), words=["echo", "INPUT0"])

    def test_a_duplicate_input(self):
        request = infer_request("echo", {"INPUT0": ROW})
        request.inputs.append(request.inputs[0])
        request.raw_input_contents.append(request.raw_input_contents[0])
        self.refused(request, words=["echo", "INPUT0"])

    def test_a_wrong_data_type(self):
        request = infer_request("echo", {"INPUT0": ROW.astype(np.int32)})
        self.refused(request, words=["echo", "INPUT0", "FP32", "INT32"])

    def test_an_unknown_data_type(self):
        request = infer_request("echo", {"INPUT0": ROW})
        for datatype in ("FP31", "fp32", ""):
            request.inputs[0].datatype = datatype
            self.refused(request, words=["INPUT0"])

    def test_a_wrong_rank(self):
        self.refused(infer_request("echo", {"INPUT0": ROW[0]}), words=["echo", "INPUT0", "[4]"])
        self.refused(infer_request("echo", {"INPUT0": ROW[None]}), words=["INPUT0", "[1,1,4]"])

    def test_a_wrong_dimension(self):
        request = infer_request("echo", {"INPUT0": np.zeros((1, 5), np.float32)})
        self.refused(request, words=["echo", "INPUT0", "4", "5"])

    def test_inputs_with_different_numbers_of_rows(self):
        arrays = {"A": np.zeros((2, 4), np.float32), "B": np.zeros((3, 1), np.int32)}
        self.refused(infer_request("pair", arrays), words=["pair", "2", "3"])

    def test_more_rows_than_the_largest_batch(self):
        request = infer_request("echo", {"INPUT0": np.zeros((9, 4), np.float32)})
        self.refused(request, words=["echo", "8", "9"])

    def test_no_rows(self):
        request = infer_request("echo", {"INPUT0": np.zeros((0, 4), np.float32)})
        self.refused(request, words=["echo", "INPUT0"])

    def test_a_wrong_byte_length(self):
        for length in (0, 15, 17, 32):
            request = infer_request("echo", {"INPUT0": ROW})
            request.raw_input_contents[0] = b"\0" * length
            self.refused(request, words=["INPUT0", 16, length])

    def test_a_wrong_number_of_raw_contents(self):
        request = infer_request("echo", {"INPUT0": ROW})
        request.raw_input_contents.append(b"\0" * 16)
        self.refused(request, words=["1", "2"])
        request = infer_request("pair", {"A": ROW, "B": np.zeros((1, 2), np.int32)})
        del request.raw_input_contents[1]
        self.refused(request, words=["1", "2"])

    def test_raw_and_typed_contents_together(self):
        request = infer_request("echo", {"INPUT0": ROW})
        request.inputs[0].contents.fp32_contents.extend([1, 2, 3, 4])
        self.refused(request, words=["INPUT0"])

    def test_typed_contents_of_another_type(self):
        request = infer_request("echo", {"INPUT0": ROW})
        del request.raw_input_contents[:]
        request.inputs[0].contents.int_contents.extend([1, 2, 3, 4])
        self.refused(request, words=["INPUT0", "FP32", "4", "0"])

    def test_a_wrong_number_of_typed_elements(self):
        request = infer_request("echo", {"INPUT0": ROW})
        del request.raw_input_contents[:]
        request.inputs[0].contents.fp32_contents.extend([1, 2, 3])
        self.refused(request, words=["INPUT0", "4", "3"])

    def test_a_negative_dimension(self):
        request = infer_request("anything", {"INPUT0": ROW[None]})
        for shape in ([1, -1, 4], [1, 1, -4], [-1, 1, 4], [1, -2, -2], [1, 1, -(2**63)]):
            request.inputs[0].shape[:] = shape
            self.refused(request, words=["INPUT0"])

    def test_a_shape_that_overflows_is_refused_without_allocating_for_it(self):
        process = self.server.process.pid
        workers = children(process)
        before = [resident_bytes(pid) for pid in [process, *workers]]
        request = infer_request("anything", {"INPUT0": ROW[None]})
        huge = [
            [1, 2**62, 4],
            [1, 2**32, 2**32],
            [1, 2**63 - 1, 2**63 - 1],
            [1, 2**40, 1],
            [1, 3 * 2**61, 8],
        ]
        for shape in huge:
            for data in (ROW.tobytes(), b""):
                request.inputs[0].shape[:] = shape
                request.raw_input_contents[0] = data
                self.refused(request, words=["INPUT0"])
            typed = infer_request("anything", {"INPUT0": ROW[None]})
            del typed.raw_input_contents[:]
            typed.inputs[0].shape[:] = shape
            typed.inputs[0].contents.fp32_contents.append(1)
            self.refused(typed, words=["INPUT0"])
        request.inputs[0].shape[:] = [1] * 10000
        self.refused(request, words=["INPUT0"])
        self.assertEqual(children(process), workers, "a worker was started again")
        for pid, old in zip([process, *workers], before):
            self.assertLess(resident_bytes(pid) - old, 32 << 20)

    def test_byte_strings_whose_lengths_do_not_add_up(self):
        request = infer_request("words", {"INPUT0": np.array([[b"abc"]], dtype=object)})
        for data in (
            b"",
            b"\1\0\0",
            b"\4\0\0\0abc",
            b"\xff\xff\xff\xffabc",
            b"\3\0\0\0abcd",
            b"\3\0\0\0abc\0\0\0\0",
        ):
            request.raw_input_contents[0] = data
            self.refused(request, words=["INPUT0"])

    def test_a_malformed_message_is_refused(self):
        good = infer_request("echo", {"INPUT0": ROW}).SerializeToString()
        for method in (INFER, PREDICT):
            call = self.server.channel.unary_unary(method)
            for bad in (
                b"\xff" * 20,
                good[:-3],
                b"\x0a\xff\xff\xff\xff\x7f",
                b"\x2b",
                b"\x00" * 64,
            ):
                with self.assertRaises(grpc.RpcError) as raised:
                    call(bad, timeout=TIMEOUT)
                self.assertEqual(raised.exception.code(), INVALID, (method, bad[:20]))
                self.check_message(raised.exception.details(), [])

    def test_a_malformed_message_is_refused_by_every_other_method(self):
        for method in QUERIES:
            with self.subTest(method):
                call = self.server.channel.unary_unary(method)
                with self.assertRaises(grpc.RpcError) as raised:
                    call(b"\x0a\xff\xff\xff\xff\x7f", timeout=TIMEOUT)
                self.assertEqual(raised.exception.code(), INVALID)
                name = method.rsplit("/", 1)[1] + "Request"
                self.check_message(raised.exception.details(), [name])

    def test_a_malformed_message_of_a_stream_is_answered_and_the_stream_goes_on(self):
        good = infer_request("echo", {"INPUT0": ROW})
        call = self.server.channel.stream_stream(
            "/inference.GRPCInferenceService/ModelStreamInfer",
            response_deserializer=protos.message("inference.ModelStreamInferResponse").FromString,
        )
        answers = list(
            call(iter([b"\xff" * 20, good.SerializeToString()]), timeout=TIMEOUT),
        )
        self.assertEqual(len(answers), 2)
        bad, right = sorted(answers, key=lambda answer: not answer.error_message)
        self.check_message(bad.error_message, ["not a valid protobuf message"])
        np.testing.assert_array_equal(infer_outputs(right.infer_response)["OUTPUT0"], ROW)

    def raw_call(self, method, message, **options):
        """The status of a call with these very bytes."""
        call = self.server.channel.stream_stream(method)
        replies = call(iter([message]), timeout=TIMEOUT, **options)
        with self.assertRaises(grpc.RpcError) as caught:
            for _ in replies:
                pass
        return caught.exception

    def test_a_long_question_to_reflection_is_refused_at_once(self):
        # file_containing_symbol; looking for it would take time with the square of its parts.
        symbol = b"a." * 100_000
        length = len(symbol)
        varint = bytes([length & 0x7F | 0x80, length >> 7 & 0x7F | 0x80, length >> 14])
        error = self.raw_call(
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
            b"\x22" + varint + symbol,
        )
        self.assertEqual(error.code(), INVALID)
        self.assertRegex(error.details(), "the question has 200004 bytes; at most 2048 are taken")

    def test_compressed_messages_are_refused_before_they_are_inflated(self):
        stub = self.server.channel.unary_unary(INFER)
        before = resident_bytes(self.server.process.pid)
        with self.assertRaises(grpc.RpcError) as caught:
            stub(bytes(200_000_000), timeout=TIMEOUT, compression=grpc.Compression.Gzip)
        self.assertEqual(caught.exception.code(), grpc.StatusCode.UNIMPLEMENTED)
        self.assertLess(resident_bytes(self.server.process.pid) - before, 100_000_000)

    def test_millions_of_tiny_fields_are_refused_before_they_are_parsed(self):
        inputs = b"\x2a\x00" * 5_000_000
        stream = "/inference.GRPCInferenceService/ModelStreamInfer"
        call = self.server.channel.stream_stream(stream)
        (reply,) = call(iter([inputs]), timeout=TIMEOUT)
        answer = protos.message("inference.ModelStreamInferResponse").FromString(reply)
        self.assertRegex(answer.error_message, "more than 16384 fields")
        nested = b"\x1a\x00" * 2_500_000
        length = len(nested)
        head = b"\x2a" + bytes([length & 0x7F | 0x80, length >> 7 & 0x7F | 0x80,
                                length >> 14 & 0x7F | 0x80, length >> 21])
        for method in (INFER, PREDICT):
            with self.assertRaises(grpc.RpcError) as caught:
                self.server.channel.unary_unary(method)(head + nested, timeout=TIMEOUT)
            self.assertEqual(caught.exception.code(), INVALID)
            self.assertRegex(caught.exception.details(), "besides raw_input_contents")
        for method in QUERIES:
            with self.assertRaises(grpc.RpcError) as caught:
                self.server.channel.unary_unary(method)(b"\xaa\x06\x00" * 100_000, timeout=TIMEOUT)
            self.assertEqual(caught.exception.code(), INVALID, method)
            self.assertRegex(caught.exception.details(), "has at most 262144", method)

    def test_protobuf_writes_nothing_of_its_own_to_the_log(self):
        call = self.server.channel.unary_unary("/inference.GRPCInferenceService/ModelReady")
        with self.assertRaises(grpc.RpcError):
            call(b"\x0a\x04\xff\xfe\xfd\xfc", timeout=TIMEOUT)
        self.assertNotIn("libprotobuf", self.server.log())

    def test_names_of_the_client_come_back_short_and_printable(self):
        request = protos.message("inference.ModelMetadataRequest")
        for name, version in (("a\nb\x1b[31m", ""), ("x" * 100_000, ""), ("echo", "y\n" * 50_000)):
            with self.assertRaises(grpc.RpcError) as raised:
                self.server.infer.ModelMetadata(
                    request(name=name, version=version), timeout=TIMEOUT
                )
            self.assertLess(len(raised.exception.details()), 1000)
            self.assertTrue(raised.exception.details().isprintable())

    def test_text_that_is_no_utf8_is_refused(self):
        good = infer_request("echo", {"INPUT0": ROW}).SerializeToString()
        call = self.server.channel.unary_unary(INFER)
        with self.assertRaises(grpc.RpcError) as raised:
            call(good.replace(b"echo", b"\xff\xfe\xfd\xfc"), timeout=TIMEOUT)
        self.assertIn(raised.exception.code(), (INVALID, grpc.StatusCode.NOT_FOUND))

    def test_a_message_that_is_too_large(self):
        request = infer_request("anything", {"INPUT0": np.zeros((1, 17, 1 << 20), np.float32)})
        self.refused(request, grpc.StatusCode.RESOURCE_EXHAUSTED)

    def test_predict_tells_the_model_and_the_tensor(self):
        cases = [
            (predict_request({"INPUT0": ROW[0]}, cpu=["echo"]), ["echo", "INPUT0"]),
            (predict_request({"INPUT0": ROW}, cpu=["echo", "pair"]), ["pair"]),
            (
                predict_request({"INPUT0": ROW.astype(np.float64)}, cpu=["echo"]),
                ["echo", "INPUT0", "FP32", "FP64"],
            ),
            (
                predict_request(
                    {"INPUT0": ROW}, cpu=[{"name": "echo", "input_names": {"INPUT0": "gone"}}]
                ),
                ["echo", "gone"],
            ),
            (
                predict_request(
                    {"INPUT0": ROW}, cpu=[{"name": "echo", "input_names": {"INPUT9": "INPUT0"}}]
                ),
                ["echo", "INPUT9"],
            ),
            (predict_request({"INPUT0": ROW}, cpu=[{"name": "echo", "outputs": ["no"]}]), ["no"]),
        ]
        for request, words in cases:
            with self.assertRaises(grpc.RpcError) as raised:
                self.server.prediction.Predict(request, timeout=TIMEOUT)
            self.assertEqual(raised.exception.code(), INVALID, raised.exception.details())
            self.check_message(raised.exception.details(), words)

    def test_predict_refuses_raw_and_typed_contents_together(self):
        request = predict_request({"INPUT0": ROW}, cpu=["echo"])
        request.inputs[0].contents.fp32_contents.extend([1, 2, 3, 4])
        with self.assertRaises(grpc.RpcError) as raised:
            self.server.prediction.Predict(request, timeout=TIMEOUT)
        self.assertEqual(raised.exception.code(), INVALID)
        self.check_message(raised.exception.details(), ["INPUT0"])

    def test_failures_are_logged_without_control_characters_of_the_client(self):
        name = "line\nbreak\x1b[31m"
        with self.assertRaises(grpc.RpcError):
            self.server.infer.ModelInfer(infer_request(name, {"INPUT0": ROW}), timeout=TIMEOUT)
        self.assertIsNone(re.search(r"^break", self.server.log(), re.MULTILINE))


if __name__ == "__main__":
    harness.main()
