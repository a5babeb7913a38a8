"""Two pools of unequal speed, live: where requests run, why, and what is learnt of it."""

import json
import os
import subprocess
import tempfile
import unittest
import urllib.request

import grpc
import harness
import numpy as np
from harness import build_path, processes, protos
from harness.repository import Repository
from harness.server import Server
from harness.tensors import infer_request, predict_request

TIMEOUT = 60
ROW = np.array([[1, 2, 3, 4]], dtype=np.float32)
BOTH = ["KIND_CPU", "KIND_GPU"]
CPU = "--pool=slow=device:cpu,lanes:1,threads:1"
GPU = "--pool=fast=device:cpu,serves:gpu,lanes:1,threads:1"
CPU_OTHER = "--pool=pair=device:cpu,lanes:2,threads:1"


def speeds(ratio, batch_us=2000):
    """Parameters of a model whose row takes so many times longer on the CPU pool."""
    return {
        "alpha_us": 0,
        "beta_us": ratio * batch_us,
        "alpha_us@gpu": batch_us,
        "beta_us@gpu": batch_us / 8,
    }


def ask(model, **parameters):
    request = infer_request(model, {"INPUT0": ROW})
    request.parameters["tandem_placement"].bool_param = True
    for name, value in parameters.items():
        request.parameters[name].string_param = value
    return request


class HeterogeneousTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.repository = cls.enterClassContext(Repository())
        for ratio in (2, 5, 10, 50):
            cls.repository.synthetic(
                f"both_{ratio}", kinds=BOTH, parameters=speeds(ratio), extra="dynamic_batching { }"
            )
        for placement in ("cpu", "gpu", "prefer_cpu", "prefer_gpu", "fallback"):
            cls.repository.synthetic(
                f"on_{placement}", kinds=BOTH, parameters={**speeds(10), "placement": placement}
            )
        cls.repository.synthetic("short", parameters={"alpha_us": 1000})
        cls.repository.synthetic("long", parameters={"alpha_us": 15_000})
        cls.server = cls.enterClassContext(Server(cls.repository.path, flags=(CPU, GPU)))

    def placements(self, model, count, **parameters):
        """Pools and reasons of so many requests that are sent at the same time."""
        calls = [
            self.server.infer.ModelInfer.future(ask(model, **parameters), timeout=TIMEOUT)
            for _ in range(count)
        ]
        replies = [call.result().parameters for call in calls]
        return [(r["tandem_pool"].string_param, r["spill_reason"].string_param) for r in replies]

    def test_one_request_at_a_time_runs_on_the_fast_pool(self):
        for model in ("both_5", "both_10"):
            seen = {self.placements(model, 1)[0] for _ in range(10)}
            self.assertEqual(seen, {("fast", "first_choice")}, model)

    def test_a_crowd_is_shared_and_those_on_the_slow_pool_are_told_why(self):
        seen = self.placements("both_2", 200)
        self.assertEqual({reason for pool, reason in seen if pool == "slow"}, {"sooner"})
        slow = sum(pool == "slow" for pool, _ in seen)
        # A row takes 4 ms there, and an eighth of 4 ms here: a small part, but not none.
        self.assertGreater(slow, 0)
        self.assertLess(slow, 100)

    def test_the_slower_the_pool_the_less_it_gets(self):
        share = {}
        for ratio in (2, 10, 50):
            seen = self.placements(f"both_{ratio}", 200)
            share[ratio] = sum(pool == "slow" for pool, _ in seen)
            print(f"1:{ratio}: {share[ratio]} of 200 on the slow pool")
        self.assertGreater(share[2], share[50])

    @unittest.skipIf(
        os.environ.get("TANDEM_SANITIZED"), "its rate is more than the sanitizers let a server take"
    )
    def test_an_open_loop_of_tandem_bench_is_served_on_both_pools(self):
        before = self.rows_by_pool("both_5")
        command = [
            build_path("tandem"),
            "bench",
            "both_5",
            f"--target={self.server.address}",
            "--rate=1800",
            "--poisson",
            "--seconds=2",
            "--warm-up=0",
            "--json",
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=False)
        level = json.loads(done.stdout)["levels"][0]
        print("open loop at 1800/s:", level["calls_per_second"], level["latency_us"])
        self.assertEqual(level["failures"], 0, level["first_failure"])
        after = self.rows_by_pool("both_5")
        gained = {pool: after[pool] - before[pool] for pool in after}
        self.assertGreater(gained["fast"], gained["slow"])

    def rows_by_pool(self, model):
        """Batches that the cost models of the pools have learnt from."""
        status = self.status()
        (found,) = [m for m in status["models"] if m["name"] == model]
        return {cost["pool"]: cost["batches"] for cost in found["costs"]}

    def status(self, server=None):
        address = (server or self.server).address
        command = [build_path("tandem"), "status", f"--target={address}", "--json"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=True)
        return json.loads(done.stdout)

    def test_a_placement_decides_where_one_request_runs(self):
        expected = {
            "on_cpu": ("slow", "only_pool"),
            "on_gpu": ("fast", "only_pool"),
            "on_prefer_cpu": ("slow", "first_choice"),
            "on_prefer_gpu": ("fast", "first_choice"),
            "on_fallback": ("fast", "first_choice"),
        }
        for model, placement in expected.items():
            self.assertEqual(self.placements(model, 1), [placement], model)

    def test_a_request_may_ask_for_a_device(self):
        self.assertEqual(self.placements("both_50", 1, device="cpu"), [("slow", "asked")])
        self.assertEqual(self.placements("both_50", 1, pool="gpu"), [("fast", "asked")])

    def test_a_device_that_the_model_is_not_on_is_refused(self):
        for model, device in (("on_cpu", "gpu"), ("on_gpu", "cpu"), ("short", "gpu")):
            call = self.server.infer.ModelInfer.future(ask(model, device=device), timeout=TIMEOUT)
            self.assertEqual(call.exception().code(), grpc.StatusCode.INVALID_ARGUMENT)
            self.assertIn(model, call.exception().details())
            self.assertIn(device, call.exception().details())

    def test_warm_up_tells_the_times_before_the_first_request(self):
        with Server(self.repository.path, flags=(CPU, GPU)) as server:
            (model,) = [m for m in self.status(server)["models"] if m["name"] == "both_5"]
            times = {cost["pool"]: cost for cost in model["costs"]}
            self.assertEqual(model["requests"], 0)
            # A run that had to wait for a core tilts the line, to either side.
            self.assertGreaterEqual(times["slow"]["beta_us"], 5000)
            self.assertGreater(times["slow"]["beta_us"], 2 * times["fast"]["beta_us"])
            self.assertGreaterEqual(times["fast"]["alpha_us"], 500)

    def test_the_longest_model_of_a_predict_starts_first(self):
        reply = self.server.prediction.Predict(
            predict_request({"INPUT0": ROW}, cpu=["short", "long"]), timeout=TIMEOUT
        )
        start = {r.model_name: r.placement.start_us for r in reply.results}
        # The pool has one lane, so one of them waits for the other.
        self.assertLess(start["long"], start["short"])
        self.assertEqual([r.model_name for r in reply.results], ["short", "long"])

    def test_metrics_tell_the_predicted_times(self):
        self.placements("both_5", 1)
        url = f"http://127.0.0.1:{self.server.ports['metrics']}/metrics"
        with urllib.request.urlopen(url, timeout=TIMEOUT) as reply:
            text = reply.read().decode()
        for name in ("base_seconds", "row_seconds"):
            self.assertRegex(
                text, rf'tandem_predicted_batch_{name}\{{model="both_5",version="1",pool="fast"\}}'
            )
        self.assertRegex(
            text, r'tandem_prediction_error_ratio\{model="both_5".*pool="fast",quantile="0.9"\}'
        )


class OtherServersTest(unittest.TestCase):
    def test_pools_of_different_lanes_share_a_model(self):
        with Repository() as repository:
            repository.synthetic("both", kinds=BOTH, parameters={"alpha_us": 5000})
            flags = (CPU_OTHER, GPU)
            with Server(repository.path, flags=flags) as server:
                calls = [
                    server.infer.ModelInfer.future(ask("both"), timeout=TIMEOUT)
                    for _ in range(60)
                ]
                pools = [call.result().parameters["tandem_pool"].string_param for call in calls]
                # Two lanes do twice what one does.
                self.assertGreater(pools.count("pair"), pools.count("fast"))
                self.assertGreater(pools.count("fast"), 0)

    def test_a_gpu_placement_without_a_gpu_pool_names_the_model_and_the_choices(self):
        with Repository() as repository:
            repository.synthetic("stranded", kinds=[], parameters={"placement": "gpu"})
            with Server(repository.path, flags=(CPU,)) as server:
                call = server.infer.ModelInfer.future(ask("stranded"), timeout=TIMEOUT)
                details = call.exception().details()
                for word in ("stranded", "gpu", "slow (cpu)", "prefer_gpu", "fallback"):
                    self.assertIn(word, details)
                self.assertIn("stranded", server.log())

    def test_what_was_learnt_is_kept_over_a_restart(self):
        with Repository() as repository, tempfile.TemporaryDirectory() as folder:
            # Too slow to be warmed up, so that only requests can tell.
            repository.synthetic("net", parameters={"alpha_us": 25_000})
            state = os.path.join(folder, "state.json")
            flags = (CPU, f"--state-file={state}")
            with Server(repository.path, flags=flags) as server:
                for _ in range(3):
                    server.infer.ModelInfer(ask("net"), timeout=TIMEOUT)
            with open(state, encoding="utf-8") as file:
                (saved,) = json.load(file)["costs"]
            self.assertEqual((saved["model"], saved["pool"]), ("net", "slow"))
            with Server(repository.path, flags=flags) as server:
                status = server.prediction.ServerStatus(
                    protos.message("tandem.v1.ServerStatusRequest")(), timeout=TIMEOUT
                )
                (cost,) = status.models[0].costs
                self.assertGreaterEqual(cost.alpha_us + cost.beta_us, 25_000 * 0.9)
                self.assertEqual(status.models[0].requests, 0)

    def test_the_log_shows_what_runs_where(self):
        with Repository() as repository:
            repository.synthetic("net")
            flags = (CPU, GPU, "--front-end-cores=0")
            with Server(repository.path, flags=flags) as server:
                rows = [line for line in server.log().splitlines() if "(front end)" in line]
                self.assertEqual(len(rows), 1)
                self.assertEqual(os.sched_getaffinity(server.process.pid), {0})
                self.assertRegex(server.log(), r"slow +cpu +cpu +1 +1 +1 +1 +10 ")

    def test_workers_on_the_cpu_are_nicer_than_the_front_end(self):
        with Repository() as repository:
            repository.synthetic("net")
            polite = "--pool=polite=device:cpu,lanes:1,nice:7"
            with Server(repository.path, flags=(polite,)) as server:
                own = os.getpriority(os.PRIO_PROCESS, server.process.pid)
                (worker,) = processes.children(server.process.pid)
                # Each thread has a niceness of its own.
                nice = {}
                for thread in os.listdir(f"/proc/{worker}/task"):
                    with open(f"/proc/{worker}/task/{thread}/comm", encoding="ascii") as file:
                        nice[file.read().strip()] = os.getpriority(os.PRIO_PROCESS, int(thread))
                self.assertEqual(nice["lane-0"], max(own, 7))
                self.assertEqual(nice["loader"], max(own, 7))
                self.assertEqual(nice["express-1"], max(own, 3))


if __name__ == "__main__":
    harness.main()
