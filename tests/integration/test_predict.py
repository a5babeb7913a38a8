"""Predict and PredictStream: one request, many models on both pools, one merged reply."""

import unittest

import grpc
import harness
import numpy as np
from harness import protos
from harness.repository import Repository
from harness.server import GPU_STAND_IN, Server
from harness.tensors import add_input, decode, encode, predict_request, result_outputs

TIMEOUT = 60
OK = grpc.StatusCode.OK.value[0]
DEADLINE_EXCEEDED = grpc.StatusCode.DEADLINE_EXCEEDED.value[0]
NOT_FOUND = grpc.StatusCode.NOT_FOUND.value[0]
INTERNAL = grpc.StatusCode.INTERNAL.value[0]
PARTIAL = "MERGE_POLICY_PARTIAL"

SCORES = [("OUTPUT0", "TYPE_FP32", [4])]
LABELS = {"inputs": [("INPUT0", "TYPE_INT64", [1])], "outputs": [("OUTPUT0", "TYPE_INT64", [1])]}
ROW = np.array([[1, 2, 3, 4]], dtype=np.float32)
# Time of the models that have to be slower than others, and of those that have to be too slow.
SLOW_US = 300_000
TOO_SLOW_US = 3_000_000


def own_inputs(**arrays):
    """Fields of a ModelCall with inputs of its own."""
    call = protos.message("tandem.v1.ModelCall")()
    for name, array in arrays.items():
        add_input(call.inputs, name, array)
    return {"inputs": call.inputs, "raw_input_contents": [encode(a) for a in arrays.values()]}


class PredictTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        repository = cls.enterClassContext(Repository())
        repository.synthetic("light")
        repository.synthetic("light_too", versions=[1, 2], extra="version_policy { all { } }")
        repository.synthetic("deep", kinds=["KIND_GPU"])
        repository.synthetic("either", kinds=["KIND_CPU", "KIND_GPU"])
        repository.synthetic("slow", parameters={"alpha_us": SLOW_US})
        repository.synthetic("too_slow", parameters={"alpha_us": TOO_SLOW_US})
        repository.synthetic("slow_deep", kinds=["KIND_GPU"], parameters={"alpha_us": SLOW_US})
        repository.synthetic("failing", parameters={"mode": "fail"})
        repository.synthetic("voter", **LABELS)
        repository.synthetic("other_voter", kinds=["KIND_GPU"], **LABELS)
        wide = {
            "inputs": [("INPUT0", "TYPE_FP32", [-1])],
            "outputs": [("OUTPUT0", "TYPE_FP32", [-1])],
        }
        repository.synthetic("wide", **wide)
        repository.synthetic("wide_too", kinds=["KIND_GPU"], **wide)
        repository.synthetic(
            "renamed",
            inputs=[("pixels", "TYPE_FP32", [4])],
            outputs=[("scores", "TYPE_FP32", [4])],
        )
        repository.synthetic(
            "pair",
            inputs=[("A", "TYPE_FP32", [4]), ("B", "TYPE_FP32", [4])],
            outputs=[("X", "TYPE_FP32", [4]), ("Y", "TYPE_FP32", [4])],
        )
        # Runs whose time is over go on in their lanes: two at most, so that one is left for the others.
        lanes = "--pool=cpu=device:cpu,processes:1,lanes:3,threads:1"
        cls.server = cls.enterClassContext(Server(repository.path, (lanes, GPU_STAND_IN)))

    def predict(self, request):
        return self.server.prediction.Predict(request, timeout=TIMEOUT)

    def refused(self, request, code):
        """Asserts that the call fails with `code`; its message."""
        with self.assertRaises(grpc.RpcError) as raised:
            self.predict(request)
        self.assertEqual(raised.exception.code(), code, raised.exception.details())
        return raised.exception.details()

    def combined(self, reply):
        return decode(reply.combined, reply.raw_output_contents[reply.combined_raw_output])

    def test_models_of_both_lists_answer_in_the_requests_order(self):
        request = predict_request(
            {"INPUT0": ROW}, cpu=["light", "light_too"], gpu=["deep"], any_pool=["either"], id="7"
        )
        reply = self.predict(request)
        self.assertEqual(reply.id, "7")
        self.assertEqual([r.key for r in reply.results], ["light", "light_too", "deep", "either"])
        for result in reply.results:
            self.assertEqual(result.status_code, OK, result.status_message)
            outputs = result_outputs(result, reply.raw_output_contents)
            np.testing.assert_array_equal(outputs["OUTPUT0"], ROW)
        self.assertEqual(reply.results[1].model_version, "2")
        self.assertGreater(reply.total_us, 0)

    def test_the_reply_tells_where_and_how_each_model_ran(self):
        reply = self.predict(predict_request({"INPUT0": ROW}, cpu=["slow"], gpu=["slow_deep"]))
        for result, pool in zip(reply.results, ["cpu", "gpu"]):
            place = result.placement
            self.assertEqual((place.pool, place.device, place.worker), (pool, "cpu", pool + "/0"))
            self.assertEqual(place.batch_size, 1)
            self.assertGreaterEqual(place.compute_us, SLOW_US)
            self.assertGreaterEqual(place.end_us - place.start_us, SLOW_US)
            self.assertLessEqual(place.end_us, reply.total_us)
        cpu, gpu = (r.placement for r in reply.results)
        overlap = min(cpu.end_us, gpu.end_us) - max(cpu.start_us, gpu.start_us)
        self.assertGreater(overlap, SLOW_US / 2, "the pools did not run at the same time")

    def test_a_model_of_both_kinds_runs_where_the_request_says(self):
        for lists, pool in (({"cpu": ["either"]}, "cpu"), ({"gpu": ["either"]}, "gpu")):
            reply = self.predict(predict_request({"INPUT0": ROW}, **lists))
            self.assertEqual(reply.results[0].placement.pool, pool)

    def test_a_model_that_is_not_on_the_wanted_pool_is_refused(self):
        message = self.refused(
            predict_request({"INPUT0": ROW}, gpu=["light"]), grpc.StatusCode.INVALID_ARGUMENT
        )
        self.assertIn("light", message)
        message = self.refused(
            predict_request({"INPUT0": ROW}, cpu=["deep"]), grpc.StatusCode.INVALID_ARGUMENT
        )
        self.assertIn("deep", message)

    def test_unknown_names_are_refused_by_name(self):
        message = self.refused(
            predict_request({"INPUT0": ROW}, cpu=["light", "nobody"]), grpc.StatusCode.NOT_FOUND
        )
        self.assertIn("nobody", message)
        message = self.refused(
            predict_request({"INPUT0": ROW}, cpu=[{"name": "light", "version": "9"}]),
            grpc.StatusCode.NOT_FOUND,
        )
        self.assertIn("9", message)

    def test_a_request_without_models_is_refused(self):
        self.refused(predict_request({"INPUT0": ROW}), grpc.StatusCode.INVALID_ARGUMENT)

    def test_names_of_inputs_and_outputs_are_mapped(self):
        other = ROW + 10
        request = predict_request(
            {"image": ROW, "mask": other},
            cpu=[
                {
                    "name": "pair",
                    "input_names": {"A": "mask", "B": "image"},
                    "output_names": {"X": "first"},
                }
            ],
        )
        reply = self.predict(request)
        outputs = result_outputs(reply.results[0], reply.raw_output_contents)
        self.assertEqual(set(outputs), {"first", "Y"})
        np.testing.assert_array_equal(outputs["first"], other)
        np.testing.assert_array_equal(outputs["Y"], ROW)

    def test_a_model_with_one_input_takes_the_only_tensor_whatever_its_name(self):
        reply = self.predict(predict_request({"anything": ROW}, cpu=["renamed", "light"]))
        for result, name in zip(reply.results, ["scores", "OUTPUT0"]):
            outputs = result_outputs(result, reply.raw_output_contents)
            np.testing.assert_array_equal(outputs[name], ROW)

    def test_own_inputs_take_the_place_of_the_shared_ones(self):
        own = ROW * 5
        request = predict_request(
            {"INPUT0": ROW}, cpu=["light", {"name": "light_too", **own_inputs(INPUT0=own)}]
        )
        reply = self.predict(request)
        shared, owned = (result_outputs(r, reply.raw_output_contents) for r in reply.results)
        np.testing.assert_array_equal(shared["OUTPUT0"], ROW)
        np.testing.assert_array_equal(owned["OUTPUT0"], own)

    def test_own_inputs_and_names_that_are_not_the_models_are_refused(self):
        twice = predict_request({"INPUT0": ROW}, cpu=["light"])
        add_input(twice.inputs, "INPUT0", -ROW)
        twice.raw_input_contents.append(encode(-ROW))
        cases = [(twice, ["INPUT0", "twice"])]
        for fields, words in (
            (own_inputs(odd=ROW), ["light", "odd", "INPUT0"]),
            (own_inputs(INPUT0=ROW, odd=ROW), ["light", "odd", "INPUT0"]),
            ({"output_names": {"FOO": "X"}}, ["light", "FOO", "OUTPUT0"]),
            ({"output_names": {"OUTPUT0": ""}}, ["light", "OUTPUT0", "empty"]),
        ):
            call = {"name": "light", **fields}
            cases.append((predict_request({"INPUT0": ROW}, cpu=[call]), words))
        for request, words in cases:
            message = self.refused(request, grpc.StatusCode.INVALID_ARGUMENT)
            for word in words:
                self.assertIn(word, message)

    def test_a_model_may_be_called_twice_under_two_keys(self):
        calls = [
            {"name": "light", "key": "once"},
            {"name": "light", "key": "again", **own_inputs(INPUT0=-ROW)},
        ]
        reply = self.predict(predict_request({"INPUT0": ROW}, cpu=calls))
        values = {
            r.key: result_outputs(r, reply.raw_output_contents)["OUTPUT0"] for r in reply.results
        }
        np.testing.assert_array_equal(values["once"], ROW)
        np.testing.assert_array_equal(values["again"], -ROW)
        message = self.refused(
            predict_request({"INPUT0": ROW}, cpu=["light", "light"]),
            grpc.StatusCode.INVALID_ARGUMENT,
        )
        self.assertIn("light", message)

    def test_only_the_named_outputs_are_returned(self):
        request = predict_request({"A": ROW, "B": -ROW}, cpu=[{"name": "pair", "outputs": ["Y"]}])
        reply = self.predict(request)
        outputs = result_outputs(reply.results[0], reply.raw_output_contents)
        self.assertEqual(list(outputs), ["Y"])
        np.testing.assert_array_equal(outputs["Y"], -ROW)

    def test_policy_all_fails_the_call_with_the_first_failure_and_its_model(self):
        message = self.refused(
            predict_request({"INPUT0": ROW}, cpu=["light", "failing"], gpu=["deep"]),
            grpc.StatusCode.INTERNAL,
        )
        self.assertIn("failing", message)

    def test_policy_partial_returns_what_succeeded_and_a_status_for_the_rest(self):
        request = predict_request(
            {"INPUT0": ROW}, cpu=["failing", "light", "nobody"], merge_policy=PARTIAL
        )
        reply = self.predict(request)
        codes = {r.key: r.status_code for r in reply.results}
        self.assertEqual(codes, {"failing": INTERNAL, "light": OK, "nobody": NOT_FOUND})
        for result in reply.results:
            if result.status_code != OK:
                self.assertIn(result.key, result.status_message)
                self.assertFalse(result.outputs)
        outputs = result_outputs(reply.results[1], reply.raw_output_contents)
        np.testing.assert_array_equal(outputs["OUTPUT0"], ROW)

    def test_policy_partial_answers_at_the_deadline_with_what_is_ready(self):
        request = predict_request(
            {"INPUT0": ROW},
            cpu=["light", "too_slow"],
            gpu=["deep"],
            merge_policy=PARTIAL,
            timeout_us=TOO_SLOW_US // 2,
        )
        reply = self.predict(request)
        codes = {r.key: r.status_code for r in reply.results}
        self.assertEqual(codes, {"light": OK, "too_slow": DEADLINE_EXCEEDED, "deep": OK})
        self.assertLess(reply.total_us, TOO_SLOW_US)

    def test_policy_all_fails_at_the_deadline_naming_the_slow_model(self):
        message = self.refused(
            predict_request(
                {"INPUT0": ROW}, cpu=["light", "too_slow"], timeout_us=TOO_SLOW_US // 2
            ),
            grpc.StatusCode.DEADLINE_EXCEEDED,
        )
        self.assertIn("too_slow", message)

    def test_combine_mean(self):
        request = predict_request(
            {"INPUT0": ROW},
            cpu=["light", {"name": "light_too", **own_inputs(INPUT0=ROW * 3)}],
            gpu=["deep"],
            combine={"method": "METHOD_MEAN"},
        )
        reply = self.predict(request)
        self.assertEqual((reply.combined.name, reply.combined.datatype), ("combined", "FP32"))
        np.testing.assert_allclose(self.combined(reply), ROW * 5 / 3, rtol=1e-6)

    def test_combine_what_is_large(self):
        row = np.arange(100_000, dtype=np.float32).reshape(1, -1)
        request = predict_request(
            {},
            cpu=[{"name": "wide", **own_inputs(INPUT0=row)}],
            gpu=[{"name": "wide_too", **own_inputs(INPUT0=row * 3)}],
            combine={"method": "METHOD_MEAN"},
        )
        np.testing.assert_allclose(self.combined(self.predict(request)), row * 2, rtol=1e-6)

    def test_combine_weighted_mean_of_chosen_members(self):
        request = predict_request(
            {"INPUT0": ROW},
            cpu=["light", {"name": "light_too", **own_inputs(INPUT0=ROW * 5)}],
            gpu=[{"name": "deep", **own_inputs(INPUT0=ROW * 100)}],
            combine={
                "method": "METHOD_WEIGHTED_MEAN",
                "output_name": "joined",
                "members": [
                    {"key": "light", "weight": 3},
                    {"key": "light_too", "output": "OUTPUT0", "weight": 1},
                ],
            },
        )
        reply = self.predict(request)
        self.assertEqual(reply.combined.name, "joined")
        np.testing.assert_allclose(self.combined(reply), ROW * 2, rtol=1e-6)

    def test_combine_majority_vote_of_labels_and_scores(self):
        scores = np.array([[0, 9, 0, 0], [0, 0, 0, 9]], dtype=np.float32)
        request = predict_request(
            {},
            cpu=[
                {"name": "voter", **own_inputs(INPUT0=np.array([[1], [2]], dtype=np.int64))},
                {"name": "light", **own_inputs(INPUT0=scores)},
            ],
            gpu=[
                {"name": "other_voter", **own_inputs(INPUT0=np.array([[0], [2]], dtype=np.int64))}
            ],
            combine={"method": "METHOD_MAJORITY_VOTE"},
        )
        reply = self.predict(request)
        self.assertEqual(reply.combined.datatype, "INT64")
        self.assertEqual(self.combined(reply).ravel().tolist(), [1, 2])

    def test_combine_of_shapes_that_differ_is_refused(self):
        request = predict_request(
            {"INPUT0": ROW},
            cpu=["light", {"name": "light_too", **own_inputs(INPUT0=np.tile(ROW, (2, 1)))}],
            combine={"method": "METHOD_MEAN"},
        )
        message = self.refused(request, grpc.StatusCode.INVALID_ARGUMENT)
        for word in ("light_too", "OUTPUT0", "[1,4]", "[2,4]"):
            self.assertIn(word, message)

    def test_combine_of_an_unknown_member_is_refused(self):
        request = predict_request(
            {"INPUT0": ROW},
            cpu=["light"],
            combine={"method": "METHOD_MEAN", "members": [{"key": "nobody"}]},
        )
        message = self.refused(request, grpc.StatusCode.INVALID_ARGUMENT)
        self.assertIn("nobody", message)

    def test_a_stream_sends_each_result_as_it_is_there_and_the_merged_reply_last(self):
        request = predict_request(
            {"INPUT0": ROW}, cpu=["slow", "light"], gpu=["deep"], combine={"method": "METHOD_MEAN"}
        )
        events = list(self.server.prediction.PredictStream(request, timeout=TIMEOUT))
        kinds = [event.WhichOneof("kind") for event in events]
        self.assertEqual(kinds, ["result", "result", "result", "merged"])
        self.assertEqual({e.result.key for e in events[:2]}, {"light", "deep"})
        self.assertEqual(events[2].result.key, "slow")
        for event in events[:3]:
            outputs = result_outputs(event.result, event.raw_output_contents)
            np.testing.assert_array_equal(outputs["OUTPUT0"], ROW)
        merged = events[3].merged
        self.assertEqual([r.key for r in merged.results], ["slow", "light", "deep"])
        np.testing.assert_allclose(self.combined(merged), ROW)

    def test_a_stream_with_policy_partial_tells_of_failures_too(self):
        request = predict_request({"INPUT0": ROW}, cpu=["failing", "light"], merge_policy=PARTIAL)
        events = list(self.server.prediction.PredictStream(request, timeout=TIMEOUT))
        codes = {e.result.key: e.result.status_code for e in events[:-1]}
        self.assertEqual(codes, {"failing": INTERNAL, "light": OK})
        self.assertEqual(events[-1].WhichOneof("kind"), "merged")

    def test_a_stream_with_policy_all_ends_with_the_failure(self):
        request = predict_request({"INPUT0": ROW}, cpu=["failing", "light"])
        with self.assertRaises(grpc.RpcError) as raised:
            list(self.server.prediction.PredictStream(request, timeout=TIMEOUT))
        self.assertEqual(raised.exception.code(), grpc.StatusCode.INTERNAL)
        self.assertIn("failing", raised.exception.details())


if __name__ == "__main__":
    harness.main()
