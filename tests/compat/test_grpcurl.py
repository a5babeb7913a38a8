"""grpcurl against the server: reflection, health and Predict with JSON, without any .proto file."""

import base64
import json
import os
import shutil
import subprocess
import unittest

import harness
import numpy as np
from harness.repository import Repository
from harness.server import Server

GRPCURL = os.environ.get("TANDEM_GRPCURL") or shutil.which("grpcurl")
TIMEOUT = 60


def parse(text):
    """The answer, with keys in one spelling: versions of grpcurl differ (modelName, model_name)."""

    def respell(pairs):
        return {key.replace("_", "").lower(): value for key, value in pairs}

    return json.loads(text, object_pairs_hook=respell)


@unittest.skipUnless(GRPCURL, "grpcurl is not installed")
class GrpcurlTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        repository = cls.enterClassContext(Repository())
        repository.synthetic("light")
        repository.synthetic("deep", kinds=["KIND_GPU"])
        cls.server = cls.enterClassContext(Server(repository.path))

    def call(self, *arguments, body=None):
        data = [] if body is None else ["-d", json.dumps(body)]
        done = subprocess.run(
            [GRPCURL, "-plaintext", *data, self.server.address, *arguments],
            capture_output=True,
            timeout=TIMEOUT,
            check=False,
        )
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        return done.stdout.decode()

    def test_reflection_lists_and_describes_the_services(self):
        services = self.call("list").split()
        for service in (
            "grpc.health.v1.Health",
            "inference.GRPCInferenceService",
            "tandem.v1.PredictionService",
        ):
            self.assertIn(service, services)
        self.assertIn("rpc Predict", self.call("describe", "tandem.v1.PredictionService"))

    def test_health_check(self):
        answer = self.call("grpc.health.v1.Health/Check", body={"service": "light"})
        self.assertEqual(json.loads(answer), {"status": "SERVING"})

    def test_health_watch(self):
        with subprocess.Popen(
            [GRPCURL, "-plaintext", self.server.address, "grpc.health.v1.Health/Watch"],
            stdout=subprocess.PIPE,
        ) as watch:
            first = b""
            while b"}" not in first:
                line = watch.stdout.readline()
                self.assertTrue(line, "the stream ended")
                first += line
            self.assertEqual(json.loads(first), {"status": "SERVING"})
            watch.kill()

    def test_infer_with_typed_contents(self):
        body = {
            "model_name": "light",
            "inputs": [
                {
                    "name": "INPUT0",
                    "datatype": "FP32",
                    "shape": [1, 4],
                    "contents": {"fp32_contents": [1, 2, 3, 4]},
                }
            ],
        }
        answer = parse(self.call("inference.GRPCInferenceService/ModelInfer", body=body))
        raw = base64.b64decode(answer["rawoutputcontents"][0])
        np.testing.assert_array_equal(np.frombuffer(raw, np.float32), [1, 2, 3, 4])

    def test_predict_runs_both_lists(self):
        body = {
            "inputs": [
                {
                    "name": "INPUT0",
                    "datatype": "FP32",
                    "shape": [1, 4],
                    "contents": {"fp32_contents": [1, 2, 3, 4]},
                }
            ],
            "cpu_models": [{"name": "light"}],
            "gpu_models": [{"name": "deep"}],
            "combine": {"method": "METHOD_MEAN"},
        }
        answer = parse(self.call("tandem.v1.PredictionService/Predict", body=body))
        pools = {r["modelname"]: r["placement"]["pool"] for r in answer["results"]}
        self.assertEqual(pools, {"light": "cpu", "deep": "gpu"})
        raw = base64.b64decode(answer["rawoutputcontents"][answer.get("combinedrawoutput", 0)])
        np.testing.assert_array_equal(np.frombuffer(raw, np.float32), [1, 2, 3, 4])


if __name__ == "__main__":
    harness.main()
