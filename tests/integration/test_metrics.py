"""The metrics: as they are served, and as a real Prometheus sees them."""

import json
import os
import re
import shutil
import subprocess
import tempfile
import time
import unittest
import urllib.error
import urllib.parse
import urllib.request

import grpc
import harness
import numpy as np
from harness import source_path
from harness.repository import Repository
from harness.server import Server
from harness.tensors import infer_request, predict_request

PROMETHEUS = os.environ.get("TANDEM_PROMETHEUS") or shutil.which("prometheus")
PROMTOOL = shutil.which("promtool")
CONFIG = source_path("docker/prometheus.yml")
TIMEOUT = 60
ROW = np.array([[1, 2, 3, 4]], dtype=np.float32)
CALLS = 5


def fetch(url):
    with urllib.request.urlopen(url, timeout=TIMEOUT) as reply:
        return reply.read().decode()


class Prometheus:
    """A Prometheus with the configuration of the compose file, that scrapes another address, and many
    times a second.
    """

    def __init__(self, target):
        self.folder = tempfile.mkdtemp(prefix="tandem-prometheus-")
        config = os.path.join(self.folder, "prometheus.yml")
        with open(CONFIG, encoding="utf-8") as file:
            text = file.read()
        changes = {"tandem:8002": target, "scrape_interval: 5s": "scrape_interval: 200ms"}
        for old, new in changes.items():
            assert text.count(old) == 1, f"{CONFIG} holds no {old}"
            text = text.replace(old, new)
        with open(config, "w", encoding="utf-8") as file:
            file.write(text)
        self.log = open(os.path.join(self.folder, "log"), "w+", encoding="utf-8")
        self.process = subprocess.Popen(
            [
                PROMETHEUS,
                "--config.file=" + config,
                "--storage.tsdb.path=" + os.path.join(self.folder, "data"),
                "--web.listen-address=127.0.0.1:0",
            ],
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.address = None
        # Its log tells the port. Reading it blocks until there is a line, or the process has ended.
        for line in self.process.stderr:
            self.log.write(line)
            found = re.search(r"(?:address=|[Ll]istening on\D*)(127\.0\.0\.1:\d+)", line)
            if found and not found.group(1).endswith(":0"):
                self.address = found.group(1)
                break

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stderr.close()
        self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def query(self, expression):
        """Result of an instant query: [(labels, value)]."""
        url = f"http://{self.address}/api/v1/query?" + urllib.parse.urlencode({"query": expression})
        try:
            reply = json.loads(fetch(url))
        except OSError:
            return []  # Not up yet.
        assert reply["status"] == "success", reply
        return [(r["metric"], float(r["value"][1])) for r in reply["data"]["result"]]

    def wait_for(self, expression, value):
        """Polls Prometheus, which has no events, until the expression has that value."""
        deadline = time.monotonic() + TIMEOUT
        while time.monotonic() < deadline:
            result = self.query(expression)
            if [v for _, v in result] == [value]:
                return result
        raise AssertionError(f"{expression} is {self.query(expression)}, not {value}")


class MetricsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        repository = cls.enterClassContext(Repository())
        repository.synthetic("light")
        repository.synthetic("deep", kinds=["KIND_GPU"])
        repository.synthetic("failing", parameters={"mode": "fail"})
        cls.server = cls.enterClassContext(Server(repository.path))
        cls.target = f"127.0.0.1:{cls.server.ports['metrics']}"
        for _ in range(CALLS):
            cls.server.infer.ModelInfer(infer_request("light", {"INPUT0": ROW}), timeout=TIMEOUT)
        cls.server.prediction.Predict(
            predict_request({"INPUT0": ROW}, cpu=["light"], gpu=["deep"]), timeout=TIMEOUT
        )
        for model in ("failing", "nobody"):
            call = cls.server.infer.ModelInfer.future(
                infer_request(model, {"INPUT0": ROW}), timeout=TIMEOUT
            )
            assert call.exception().code() != grpc.StatusCode.OK
        # What cannot be decoded, over gRPC and HTTP.
        request = infer_request("light", {"INPUT0": ROW})
        request.inputs[0].shape[0] = -1
        assert cls.server.infer.ModelInfer.future(request, timeout=TIMEOUT).exception() is not None
        url = f"http://127.0.0.1:{cls.server.ports['http']}/v2/models/light/infer"
        try:
            urllib.request.urlopen(url, data=b"{", timeout=TIMEOUT)
        except urllib.error.HTTPError as error:
            assert error.code == 400, error

    def scrape(self):
        return fetch(f"http://{self.target}/metrics")

    def series(self, name, **labels):
        """Values of a metric's series that have these labels."""
        found = []
        for line in self.scrape().splitlines():
            match = re.fullmatch(re.escape(name) + r"(?:\{(.*)\})? (\S+)", line)
            if match:
                have = dict(re.findall(r'(\w+)="([^"]*)"', match.group(1) or ""))
                if all(have.get(key) == value for key, value in labels.items()):
                    found.append(float(match.group(2)))
        return found

    def test_requests_are_counted_by_model_version_pool_and_worker(self):
        where = {"model": "light", "version": "1", "pool": "cpu", "worker": "cpu/0"}
        self.assertEqual(self.series("tandem_requests_total", **where), [CALLS + 1])
        self.assertEqual(sum(self.series("tandem_requests_total", model="deep", pool="gpu")), 1)
        self.assertEqual(sum(self.series("nv_inference_request_success", model="light")), CALLS + 1)

    def test_failures_are_counted_by_reason(self):
        self.assertEqual(sum(self.series("tandem_request_failures_total", model="failing")), 1)
        self.assertEqual(sum(self.series("nv_inference_request_failure", model="failing")), 1)
        reasons = re.findall(r'tandem_request_failures_total\{.*reason="(\w+)"', self.scrape())
        self.assertIn("INTERNAL", [reason.upper() for reason in reasons])

    def test_what_cannot_be_decoded_is_counted_of_no_model(self):
        refused = {"model": "", "code": "INVALID_ARGUMENT"}
        self.assertEqual(self.series("tandem_requests_total", **refused), [2])

    def test_a_name_that_is_no_model_makes_no_series(self):
        self.assertNotIn('"nobody"', self.scrape())

    def test_durations_and_batch_sizes_are_histograms(self):
        for name in (
            "tandem_request_duration_seconds",
            "tandem_queue_duration_seconds",
            "tandem_compute_duration_seconds",
            "tandem_batch_size",
        ):
            self.assertEqual(sum(self.series(name + "_count", model="light")), CALLS + 1, name)
            self.assertTrue(self.series(name + "_bucket", model="light", le="+Inf"), name)

    def test_gauges_tell_of_queues_memory_and_workers(self):
        for name in (
            "tandem_queue_length",
            "tandem_bytes_in_flight",
            "tandem_arena_used_bytes",
            "tandem_worker_restarts_total",
            "tandem_process_resident_memory_bytes",
            "tandem_process_cpu_seconds_total",
        ):
            self.assertTrue(self.series(name), f"there is no {name}")
        self.assertEqual(self.series("tandem_worker_restarts_total", worker="cpu/0"), [0])
        self.assertGreater(sum(self.series("tandem_process_resident_memory_bytes")), 1 << 20)

    @unittest.skipUnless(PROMTOOL, "promtool is not installed")
    def test_promtool_takes_the_configuration_of_the_compose_file(self):
        done = subprocess.run(
            [PROMTOOL, "check", "config", CONFIG],
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
        self.assertEqual(done.returncode, 0, done.stderr)

    @unittest.skipUnless(PROMTOOL, "promtool is not installed")
    def test_promtool_finds_no_malformed_metric(self):
        done = subprocess.run(
            [PROMTOOL, "check", "metrics"],
            input=self.scrape(),
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
        # Names that other servers chose before it may displease the linter; a malformed text is
        # code 1.
        self.assertNotEqual(done.returncode, 1, done.stderr)

    @unittest.skipUnless(PROMETHEUS, "prometheus is not installed")
    def test_a_real_prometheus_scrapes_and_answers_queries(self):
        with Prometheus(self.target) as prometheus:
            self.assertIsNotNone(prometheus.address, "Prometheus did not start")
            prometheus.wait_for('up{job="tandem"}', 1)
            prometheus.wait_for('sum(tandem_requests_total{model="light"})', CALLS + 1)
            prometheus.wait_for('sum(tandem_requests_total{pool="gpu"})', 1)
            quantile = (
                "histogram_quantile(0.5, sum by (le) (tandem_request_duration_seconds_bucket))"
            )
            ((_, seconds),) = prometheus.query(quantile)
            self.assertGreater(seconds, 0)
            self.assertLess(seconds, 5)


if __name__ == "__main__":
    harness.main()
