"""A device that is lost: its pool's worker is started afresh, and meanwhile models whose policy says so
run on the CPU pool, which metric and reply tell.
"""

import json
import unittest
import urllib.request

import grpc
import harness
import numpy as np
from harness.load import Load
from harness.recovery import kill, metric, wait_for_restart, wait_until, worker
from harness.repository import Repository
from harness.server import CPU_POOL, GPU_STAND_IN, Server
from harness.tensors import infer_request, predict_request

TIMEOUT = 60
POISON = np.array([[222, 2, 3, 4]], dtype=np.float32)
ROW = np.array([[1, 2, 3, 4]], dtype=np.float32)
FALLBACKS = "tandem_fallback_requests_total"


class FallbackTest(unittest.TestCase):
    def setUp(self):
        self.repository = self.enterContext(Repository())

    def start(self):
        self.server = self.enterContext(Server(self.repository.path, (CPU_POOL, GPU_STAND_IN)))

    def add_models(self):
        for fallback in ("never", "on_fault", "on_load"):
            parameters = {"fallback": fallback}
            self.repository.synthetic(fallback, kinds=["KIND_GPU"], parameters=parameters)
        self.repository.synthetic(
            "sick",
            kinds=["KIND_GPU"],
            parameters={"mode": "device_lost", "trigger": "poison", "fallback": "never"},
        )

    def pool_of(self, model):
        request = predict_request({"INPUT0": ROW}, any_pool=[model])
        (result,) = self.server.prediction.Predict(request, timeout=TIMEOUT).results
        return result.placement.pool

    def ask(self, model, values):
        request = infer_request(model, {"INPUT0": values})
        return self.server.infer.ModelInfer.future(request, timeout=TIMEOUT)

    def over_http(self, model):
        entry = {"name": "INPUT0", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3, 4]}
        url = f"http://127.0.0.1:{self.server.ports['http']}/v2/models/{model}/infer"
        body = json.dumps({"inputs": [entry]}).encode()
        with urllib.request.urlopen(url, body, timeout=TIMEOUT) as reply:
            return json.loads(reply.read())

    def lose_device(self):
        """The GPU pool's worker has lost its device, and takes a while to come back."""
        for death in range(1, 5):
            kill(worker(self.server, "gpu").pid)
            wait_for_restart(self.server, death, "gpu")
        call = self.ask("sick", POISON)
        wait_until(
            self.server,
            lambda status: "device can run nothing more" in status.pools[1].workers[0].last_exit,
            "the device is lost",
        )
        return call

    def test_models_run_on_the_cpu_pool_while_the_device_is_lost_where_they_may(self):
        self.add_models()
        self.start()
        self.assertEqual(self.pool_of("on_fault"), "gpu")
        self.assertEqual(metric(self.server, FALLBACKS, model="on_fault"), 0)
        self.assertEqual(dict(self.ask("on_fault", ROW).result().parameters), {})
        with Load(self.server.address, "on_fault") as load:
            sick = self.lose_device()
            self.assertNotEqual(worker(self.server, "gpu").state, "ready")
            # No later than its next start: it need not wait.
            load.wait_for_more(4)
            self.assertGreater(
                metric(self.server, FALLBACKS, model="on_fault", reason="other_pool_down"), 0
            )
            # Nobody asked for it: the reply tells all the same, also on a stream and over HTTP.
            request = infer_request("on_fault", {"INPUT0": ROW})
            (streamed,) = self.server.infer.ModelStreamInfer(iter([request]), timeout=TIMEOUT)
            for reply in (self.ask("on_fault", ROW).result(), streamed.infer_response):
                self.assertEqual(reply.parameters["tandem_pool"].string_param, "cpu")
                self.assertEqual(reply.parameters["spill_reason"].string_param, "other_pool_down")
            self.assertEqual(self.over_http("on_fault")["parameters"]["tandem_worker"], "cpu/0")
            # Who must not run elsewhere waits for the device.
            self.assertEqual(self.pool_of("never"), "gpu")
            self.assertEqual(sick.code(), grpc.StatusCode.INTERNAL)
        self.assertEqual(load.failures, [])
        wait_for_restart(self.server, 6, "gpu")
        self.assertEqual(self.pool_of("on_fault"), "gpu")
        self.assertEqual(metric(self.server, FALLBACKS, model="never"), 0)

    def test_a_policy_that_says_nothing_is_refused_with_the_choices(self):
        self.repository.synthetic("wrong", parameters={"fallback": "on_fault"})
        self.repository.synthetic("unknown", kinds=["KIND_GPU"], parameters={"fallback": "perhaps"})
        self.start()
        state, reason = self.server.index()["unknown", ""]
        self.assertEqual(state, "UNAVAILABLE")
        self.assertIn("'perhaps' does not exist; expected one of never, on_fault, on_load", reason)
        state, reason = self.server.index()["wrong", ""]
        self.assertEqual(state, "UNAVAILABLE")
        self.assertIn("is for models of GPU pools", reason)


if __name__ == "__main__":
    harness.main()
