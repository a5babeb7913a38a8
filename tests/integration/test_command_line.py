"""The commands of `tandem` on a server: what scripts read, exit codes."""

import json
import os
import subprocess
import tempfile
import unittest

import numpy as np

import harness
from harness import build_path
from harness.repository import Repository
from harness.server import Server, clean_environment, run_to_end

ROWS = 500
DONE, FAILED, BAD_USAGE, NO_SERVER, INTERRUPTED = 0, 1, 2, 3, 130


class CommandLineTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        repository = cls.enterClassContext(Repository())
        repository.synthetic("light")
        repository.synthetic("deep", kinds=["KIND_GPU"])
        repository.synthetic("slow", parameters={"alpha_us": 20_000})
        repository.synthetic("late", parameters={"alpha_us": 4_000_000})
        repository.add("bad", "no_such_field: 1")
        cls.server = cls.enterClassContext(Server(repository.path))
        cls.folder = cls.enterClassContext(tempfile.TemporaryDirectory())
        cls.rows = np.arange(ROWS * 4, dtype=np.float32).reshape(ROWS, 4)
        np.save(os.path.join(cls.folder, "rows.npy"), cls.rows)

    def run_command(self, *arguments, code=DONE):
        """Runs a command against the server; its output."""
        got, out, error = run_to_end([*arguments, "--target=" + self.server.address])
        self.assertEqual(got, code, error)
        return out + error

    def path(self, name):
        return os.path.join(self.folder, name)

    def test_models_lists_each_with_its_state_and_reason(self):
        models = json.loads(self.run_command("models", "--json"))["models"]
        states = {model["name"]: model["state"] for model in models}
        self.assertEqual(
            states, {"bad": "UNAVAILABLE"} | dict.fromkeys(["deep", "late", "light", "slow"], "READY")
        )
        self.assertIn("config.pbtxt:1", models[0]["reason"])
        self.assertIn("no_such_field", self.run_command("models"))

    def test_status_shows_pools_and_workers(self):
        status = json.loads(self.run_command("status", "--json"))
        self.assertTrue(status["ready"])
        self.assertEqual([pool["name"] for pool in status["pools"]], ["cpu", "gpu"])
        self.assertIn("cpu/0", self.run_command("status"))

    def test_simulate_lists_its_scenarios_and_plays_one(self):
        code, out, error = run_to_end(["simulate", "--list"])
        self.assertEqual(code, DONE, error)
        self.assertIn("bursty_1_to_10", out)
        plot = self.path("plot.svg")
        code, out, error = run_to_end(
            ["simulate", "--scenario=steady_1_to_5", "--requests=500", "--json", "--plot=" + plot]
        )
        self.assertEqual(code, DONE, error)
        outcomes = json.loads(out)
        fields = {"policy", "load", "goodput", "fluid_bound", "p50_ms", "p99_ms", "slo_miss", "use"}
        self.assertEqual({frozenset(outcome) for outcome in outcomes}, {frozenset(fields)})
        policies = {outcome["policy"] for outcome in outcomes}
        self.assertGreaterEqual(
            policies,
            {"tandem", "gpu_only", "static_split", "shortest_queue", "first_idle"},
        )
        with open(plot, encoding="utf-8") as file:
            self.assertTrue(file.read().startswith("<svg"))
        code, out, error = run_to_end(["simulate", "--list", "--json"])
        self.assertEqual(code, DONE, error)
        self.assertIn("bursty_1_to_10", [scenario["name"] for scenario in json.loads(out)])

    def test_simulate_names_what_is_wrong_with_a_scenario(self):
        bad = self.path("bad.json")
        with open(bad, "w", encoding="utf-8") as file:
            file.write('{"slo_ms": 5, "pools": [{"beta_ms": 1, "lane": 2}]}')
        code, _, error = run_to_end(["simulate", "--scenario=" + bad])
        self.assertEqual(code, BAD_USAGE)
        self.assertIn("pools[0].lane: no such field", error)
        code, _, error = run_to_end(["simulate", "--scenario=nobody_knows"])
        self.assertEqual(code, BAD_USAGE)
        self.assertIn("nobody_knows", error)

    def test_simulate_bounds_its_requests_and_says_where_memory_is_short(self):
        code, _, error = run_to_end(
            ["simulate", "--scenario=steady_1_to_5", "--requests=100000000"]
        )
        self.assertEqual(code, BAD_USAGE)
        self.assertIn("10000000", error)
        if "TANDEM_SANITIZED" in os.environ:
            self.skipTest("a sanitizer needs more address space than the limit leaves")
        # More than the program needs to start, and less than a trace of so many requests.
        program = [build_path("tandem"), "simulate", "--scenario=steady_1_to_5", "--json"]
        done = subprocess.run(
            ["sh", "-c", 'ulimit -v 150000; exec "$@"', "sh", *program, "--requests=10000000"],
            env=clean_environment(),
            capture_output=True,
            check=False,
            timeout=60,
        )
        self.assertEqual(done.returncode, FAILED, done.stderr)
        self.assertIn(b"not enough memory", done.stderr)
        self.assertEqual(json.loads(done.stdout)["error"]["code"], "RESOURCE_EXHAUSTED")

    def test_bench_measures_closed_and_open_loops(self):
        closed = json.loads(
            self.run_command(
                "bench", "light", "--json", "--concurrency=1:4", "--seconds=0.5", "--warm-up=0.05"
            )
        )
        self.assertEqual([level["concurrency"] for level in closed["levels"]], [1, 2, 4])
        for level in closed["levels"]:
            self.assertGreater(level["calls"], 0)
            self.assertEqual(level["failures"], 0)
            self.assertLessEqual(level["latency_us"]["p50"], level["latency_us"]["p99"])
        # The slow model takes 20 ms a run and has two lanes: 200 calls a second must wait, and the
        # open loop has to show it.
        opened = json.loads(
            self.run_command("bench", "slow", "--json", "--rate=200", "--poisson", "--seconds=0.5")
        )
        self.assertGreater(opened["levels"][0]["latency_us"]["p99"], 40_000)
        shown = self.run_command("bench", "light", "--seconds=0.5", "--input", "[1, 2, 3, 4]")
        self.assertIn("CALLS AT A TIME", shown)
        self.assertIn("Latencies", shown)

    def test_bench_refuses_what_cannot_be_sent(self):
        requests = self.path("requests.json")
        with open(requests, "w", encoding="ascii") as file:
            json.dump({"data": [{"INPUT0": [1, 2, 3, 4]}, {"INPUT0": [1, 2]}]}, file)
        for arguments, code in (
            (["light", "--concurrency=0"], BAD_USAGE),
            (["light", "--input-data=" + self.path("nothing.json")], BAD_USAGE),
            (["light", "--shape=OTHER:3"], BAD_USAGE),
            (["unknown"], FAILED),
            # The second request is refused by the server before anything is measured.
            (["light", "--input-data=" + requests], FAILED),
        ):
            with self.subTest(arguments=arguments):
                self.run_command("bench", *arguments, "--seconds=0.1", code=code)

    def test_infer_adds_the_batch_dimension_and_prints_the_outputs(self):
        answer = json.loads(
            self.run_command("infer", "light", "--json", "--input", "INPUT0=[1, 2, 3, 4]")
        )
        self.assertEqual(answer["outputs"]["OUTPUT0"]["data"], [[1, 2, 3, 4]])

    def test_infer_of_an_unknown_model_says_so(self):
        out = self.run_command("infer", "nobody", "--input", "[1]", code=FAILED)
        self.assertIn("nobody", out)
        self.assertEqual(len(out.splitlines()), 1, out)

    def test_a_model_that_is_not_ready_is_told_with_its_reason(self):
        for command in ("infer bad", "predict --models=bad", "bench bad"):
            data = [] if command == "bench bad" else ["--input", "[1, 2]"]
            with self.subTest(command=command):
                out = self.run_command(*command.split(), *data, code=FAILED)
                self.assertIn('UNAVAILABLE: model "bad" is not ready', out)
                self.assertIn("no_such_field", out)

    def test_a_command_that_fails_tells_scripts_why(self):
        cases = (
            (["infer", "nobody", "--input", "[1]"], FAILED, "NOT_FOUND", "nobody"),
            (["infer", "bad", "--input", "[1]"], FAILED, "UNAVAILABLE", "no_such_field"),
            (["infer", "light", "--input", "nonsense"], BAD_USAGE, "INVALID_ARGUMENT", "nonsense"),
            (["predict", "--input", "[1]"], BAD_USAGE, "INVALID_ARGUMENT", "--models"),
            (["bench", "light", "--concurrency=0"], BAD_USAGE, "INVALID_ARGUMENT", "--concurrency"),
            (["status", "--bogus"], BAD_USAGE, "INVALID_ARGUMENT", "--bogus"),
            (["chaos", "--seed=-1"], BAD_USAGE, "INVALID_ARGUMENT", "from 0"),
            (["status", "--timeout=0.0005"], BAD_USAGE, "INVALID_ARGUMENT", "0.0005"),
        )
        for arguments, code, status, word in cases:
            with self.subTest(arguments=arguments):
                got, out, error = run_to_end(
                    [*arguments, "--json", "--target=" + self.server.address]
                )
                self.assertEqual(got, code, error)
                self.assertEqual(json.loads(out)["error"]["code"], status)
                self.assertIn(word, json.loads(out)["error"]["message"])
                self.assertEqual(len(error.splitlines()), 1, error)
        for command in (["status"], ["models"], ["quarantine"], ["infer", "m", "--input=[1]"]):
            code, out, _ = run_to_end([*command, "--json", "--target=127.0.0.1:1", "--timeout=5"])
            self.assertEqual(code, NO_SERVER)
            self.assertEqual(json.loads(out)["error"]["code"], "UNAVAILABLE")
        code, out, _ = run_to_end(["simulate", "--json", "--scenario=nobody_knows"])
        self.assertEqual((code, json.loads(out)["error"]["code"]), (BAD_USAGE, "NOT_FOUND"))

    def test_output_that_cannot_be_written_is_an_error(self):
        target = "--target=" + self.server.address
        commands = (
            ["version"],
            ["--help"],
            ["completion", "bash"],
            ["models", target],
            ["status", "--json", target],
            ["simulate", "--list"],
            ["infer", "light", "--input", "[1, 2, 3, 4]", target],
        )
        for command in commands:
            for shell in ('exec "$@" >/dev/full', 'exec "$@" >&-'):
                with self.subTest(command=command, shell=shell):
                    done = subprocess.run(
                        ["sh", "-c", shell, "sh", build_path("tandem"), *command],
                        env=clean_environment(),
                        stderr=subprocess.PIPE,
                        check=False,
                        timeout=60,
                    )
                    self.assertEqual(done.returncode, FAILED)
                    self.assertIn(b"stdout cannot be written", done.stderr)
                    self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)

    def test_chaos_does_not_start_on_a_server_without_its_models(self):
        out = self.run_command("chaos", "--duration=1s", code=BAD_USAGE)
        self.assertIn("--write-models", out)

    def test_predict_shows_both_pools_and_the_merged_tensor(self):
        lists = ["--cpu-models=light", "--gpu-models=deep", "--combine=mean"]
        answer = json.loads(
            self.run_command("predict", "--json", *lists, "--input", "[1, 2, 3, 4]")
        )
        pools = {result["key"]: result["pool"] for result in answer["results"]}
        self.assertEqual(pools, {"light": "cpu", "deep": "gpu"})
        self.assertEqual(answer["combined"]["data"], [[1, 2, 3, 4]])

    def test_predict_shows_what_is_ready_when_its_time_is_over(self):
        lists = ["--merge-policy=partial", "--models=light,late", "--timeout=2"]
        answer = json.loads(
            self.run_command(
                "predict", "--json", *lists, "--input", "[1, 2, 3, 4]", code=FAILED
            )
        )
        light, late = answer["results"]
        self.assertEqual(light["outputs"]["OUTPUT0"]["data"], [[1, 2, 3, 4]])
        self.assertEqual(late["status"], "DEADLINE_EXCEEDED")

    def test_predict_tells_of_an_unknown_model_beside_what_the_others_say(self):
        words = ["predict", "--models=nope,light,bad", "--merge-policy=partial"]
        out = self.run_command(*words, "--json", "--input", "[1, 2, 3, 4]", code=FAILED)
        states = [result["status"] for result in json.loads(out)["results"]]
        self.assertEqual(states, ["NOT_FOUND", "OK", "UNAVAILABLE"])
        self.run_command(
            *words,
            "--dataset=" + self.path("rows.npy"),
            "--output=" + self.path("partial.npz"),
            "--batch=7",
            code=FAILED,
        )
        predictions = np.load(self.path("partial.npz"))
        np.testing.assert_array_equal(predictions["light.OUTPUT0"], self.rows)
        self.assertFalse(predictions["row_ok"].any())

    def test_a_word_that_is_no_command_is_answered_with_the_commands(self):
        code, out, error = run_to_end(["bogus"])
        self.assertEqual((code, out), (BAD_USAGE, ""))
        self.assertIn("no such command 'bogus'", error)
        for command in ("serve", "predict", "infer", "models", "status", "version", "simulate"):
            self.assertIn(command, error)
        self.assertEqual(len(error.splitlines()), 1, error)

    def test_version_is_text_or_json(self):
        code, text, _ = run_to_end(["version"])
        self.assertEqual(code, DONE)
        self.assertEqual(run_to_end(["--version"]), (DONE, text, ""))
        code, out, _ = run_to_end(["version", "--json"])
        self.assertEqual(code, DONE)
        self.assertEqual(text, f"tandem {json.loads(out)['version']}\n")

    def test_output_that_is_no_terminal_has_no_colours(self):
        for command in (["models"], ["status"], ["predict", "--models=light", "-i", "[1,2,3,4]"]):
            self.assertNotIn("\x1b", self.run_command(*command))

    def test_bad_usage_and_an_absent_server_have_codes_of_their_own(self):
        self.run_command("infer", code=BAD_USAGE)
        self.run_command("predict", "--no-such-flag", code=BAD_USAGE)
        code, _, error = run_to_end(["status", "--target=127.0.0.1:1", "--timeout=5"])
        self.assertEqual(code, NO_SERVER, error)
        self.assertEqual(len(error.splitlines()), 1, error)


if __name__ == "__main__":
    harness.main()
