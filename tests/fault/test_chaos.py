"""The chaos driver: faults of every kind on a real server, and servers that it finds at fault."""

import json
import os
import re
import signal
import subprocess
import tempfile
import time
import unittest

import harness
from harness import build_path
from harness.processes import children
from harness.server import Server, clean_environment, run_to_end

TIMEOUT = 120
SIGNALS = {"kill", "segv", "stop"}
REQUESTS = {"hang", "garbage", "poison"}


@unittest.skipIf(
    os.environ.get("TANDEM_SANITIZED"),
    "AddressSanitizer keeps what is freed for a while, so that no growth can be judged",
)
class ChaosTest(unittest.TestCase):
    def chaos(self, *arguments, environment=None):
        """Runs the driver on synthetic workers; its exit code and its last line."""
        command = ["chaos", "--json", "--rate=200", *arguments]
        if not any(argument.startswith("--target") for argument in arguments):
            command.append("--worker=" + build_path("tandem-worker-plain"))
        code, out, err = run_to_end(command, environment, timeout=TIMEOUT)
        self.assertTrue(out, err)
        return code, json.loads(out.splitlines()[-1])

    def is_pending(self, pid, number):
        with open(f"/proc/{pid}/status", encoding="utf-8") as file:
            (pending,) = re.findall(r"^ShdPnd:\s*(\w+)", file.read(), re.MULTILINE)
        return bool(int(pending, 16) & 1 << (number - 1))

    def assert_clean(self, code, report):
        for key in ("lost", "wrong", "doubled", "parent_deaths"):
            self.assertEqual(report[key], 0, report)
        self.assertTrue(report["recovered"], report)
        self.assertEqual(code, 0, report)

    def wait_for_load(self, target):
        """Waits until a server has answered requests of the load."""
        deadline = time.monotonic() + TIMEOUT
        while time.monotonic() < deadline:
            _, out, _ = run_to_end(["models", "--json", "--target", target])
            if out and any(model["requests"] > 0 for model in json.loads(out)["models"]):
                return
        self.fail("no load reached the server")

    def test_every_kind_of_fault_is_survived_with_every_answer_right(self):
        code, report = self.chaos("--seed=1", "--duration=10s", "--fault-rate=1")
        self.assert_clean(code, report)
        kinds = report["faults_by_kind"]
        self.assertEqual(set(kinds), SIGNALS | REQUESTS)
        self.assertGreater(report["requests"], 1000)
        self.assertGreater(report["worker_deaths"], report["faults"] // 2)
        self.assertIsNotNone(report["detect_ms_p99"])
        self.assertIsNotNone(report["recover_ms_p99"])
        self.assertIsNotNone(report["p99_ms"])
        self.assertIsNotNone(report["p99_ms_quiet"])
        # What was made to end workers has its answer too, and no good one.
        self.assertEqual(
            sum(report["fault_request_errors"].values()), report["fault_requests"], report
        )

    def test_signals_that_come_together_are_one_and_leave_nothing_behind(self):
        folder = self.enterContext(tempfile.TemporaryDirectory())
        driver = subprocess.Popen(
            [
                build_path("tandem"),
                "chaos",
                "--faults=kill",
                "--worker=" + build_path("tandem-worker-plain"),
            ],
            stdout=subprocess.PIPE,
            env=clean_environment() | {"TMPDIR": folder},
        )
        with driver:
            # It tells what it is about to do once its server is up.
            self.assertIn(b"faults in 300s", driver.stdout.readline())
            self.assertNotEqual(os.listdir(folder), [])
            # As timeout(1) does, which sends two. The second one when the first has been taken, so
            # that they do not become one.
            driver.send_signal(signal.SIGTERM)
            while self.is_pending(driver.pid, signal.SIGTERM):
                pass
            driver.send_signal(signal.SIGTERM)
            # What it found in so short a run does not matter.
            driver.stdout.read()
        self.assertEqual(os.listdir(folder), [])

    def test_a_server_that_runs_already_is_hit_as_well(self):
        folder = self.enterContext(tempfile.TemporaryDirectory())
        self.assertEqual(run_to_end(["chaos", "--write-models", folder])[0], 0)
        pool = "--pool=cpu=device:cpu,processes:2,lanes:1,threads:1"
        server = self.enterContext(Server(folder, (pool, "--log-format=json")))
        code, report = self.chaos(
            "--target=" + server.address,
            "--server-log=" + server.log_path,
            "--duration=5s",
            "--faults=kill",
            "--fault-rate=1",
        )
        self.assert_clean(code, report)
        self.assertEqual(report["errors"], {})
        self.assertEqual(report["worker_deaths"], report["faults"])
        self.assertEqual(
            report["faults_by_kind"]["kill"]["worker_deaths"], report["worker_deaths"]
        )
        restarts = sum(worker.restarts for worker in server.status().pools[0].workers)
        self.assertEqual(restarts, report["worker_deaths"])

    def test_connections_that_the_server_ends_for_their_age_are_no_leak(self):
        """The driver's own, which asks for the workers, is idle until the faults have been caused."""
        folder = self.enterContext(tempfile.TemporaryDirectory())
        self.assertEqual(run_to_end(["chaos", "--write-models", folder])[0], 0)
        pool = "--pool=cpu=device:cpu,processes:2,lanes:1,threads:1"
        server = self.enterContext(Server(folder, (pool, "--max-connection-age=1500ms")))
        code, report = self.chaos(
            "--target=" + server.address,
            "--duration=20s",
            "--faults=kill",
            "--fault-rate=0.5",
            "--settle=1s",
        )
        self.assert_clean(code, report)
        self.assertEqual(report["parent_fd_growth"], 0, report)

    def test_a_planted_leak_is_found(self):
        for leak, key in {
            "memory": "parent_rss_growth_bytes",
            "descriptor": "parent_fd_growth",
            "thread": "parent_thread_growth",
        }.items():
            with self.subTest(leak):
                code, report = self.chaos(
                    "--server=" + build_path("tandem_leaking"),
                    "--duration=4s",
                    "--faults=kill",
                    "--fault-rate=2",
                    "--settle=1s",
                    environment={"TANDEM_TEST_LEAK": leak},
                )
                self.assertEqual(code, 1, report)
                self.assertGreater(report["worker_deaths"], 3)
                self.assertGreaterEqual(report[key], report["worker_deaths"], report)
                for other in ("lost", "wrong", "doubled", "parent_deaths"):
                    self.assertEqual(report[other], 0, report)

    def test_the_death_of_the_server_fails_the_run_and_leaves_no_process(self):
        arguments = ["chaos", "--json", "--duration=600s", "--faults=kill", "--fault-rate=0.001"]
        driver = subprocess.Popen(
            [build_path("tandem"), *arguments, "--worker=" + build_path("tandem-worker-plain")],
            env=clean_environment(),
            stdout=subprocess.PIPE,
            text=True,
        )
        with driver:
            # Its first line comes when the server serves, and tells where.
            line = driver.stdout.readline()
            self.wait_for_load(re.search(r"against (\S+),", line).group(1))
            (server,) = children(driver.pid)
            os.kill(server, 9)
            out, _ = driver.communicate(timeout=TIMEOUT)
        report = json.loads(out.splitlines()[-1])
        self.assertEqual(driver.returncode, 1)
        self.assertEqual(report["parent_deaths"], 1, report)

    def test_bad_words_are_told(self):
        for arguments, words in {
            ("--faults=kill,flood",): "flood",
            ("--duration=soon",): "soon",
            ("--server=/nonexistent",): "/nonexistent",
        }.items():
            with self.subTest(arguments):
                code, _, err = run_to_end(["chaos", *arguments])
                self.assertEqual(code, 2, err)
                self.assertIn(words, err)
        code, _, err = run_to_end(["chaos", "--target=127.0.0.1:1"])
        self.assertEqual(code, 3, err)


if __name__ == "__main__":
    harness.main()
