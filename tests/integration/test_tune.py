"""`tandem tune`: settings are tried on servers of its own, one is chosen and written."""

import os
import signal
import subprocess
import tempfile
import unittest

import harness
from harness import build_path
from harness.repository import Repository, config
from harness.server import clean_environment, run_to_end

# One lane, so that batches alone decide: a run takes 20 ms, however many rows it has.
QUICK = ("--duration=1s", "--threads=1", "--lanes=1", "--concurrency=8")


class TuneTest(unittest.TestCase):
    def setUp(self):
        self.repository = self.enterContext(Repository())
        text = "# Kept.\n" + config("slow", parameters={"alpha_us": 20_000})
        self.repository.add("slow", text)
        self.path = os.path.join(self.repository.path, "slow", "config.pbtxt")

    def tune(self, *arguments, model="slow", code=0):
        got, out, error = run_to_end(
            [
                "tune",
                model,
                "--model-repository=" + self.repository.path,
                "--worker=" + build_path("tandem-worker-plain"),
                *arguments,
            ]
        )
        self.assertEqual(got, code, out + error)
        return out + error

    def config(self):
        with open(self.path, encoding="utf-8") as file:
            return file.read()

    def test_the_choice_is_explained_and_shown_and_nothing_is_written(self):
        before = self.config()
        shown = self.tune(*QUICK, "--max-batch=1,8")
        self.assertRegex(shown, r"1 +1 +8 +[0-9.]+ +[0-9.]+ +[0-9.]+ +chosen")
        self.assertRegex(shown, r"1 +1 +1 +.* % fewer calls/s")
        self.assertIn("The rule:", shown)
        self.assertIn("+ dynamic_batching { }", shown)
        self.assertIn("Nothing is written", shown)
        self.assertEqual(self.config(), before)

    def test_the_choice_is_written_and_is_found_there_the_next_time(self):
        before = self.config()
        self.tune(*QUICK, "--max-batch=1,8", "--write")
        self.assertEqual(
            self.config(),
            before.replace("kind: KIND_CPU", "kind: KIND_CPU count: 1")
            + "dynamic_batching { }\n"
            + 'parameters { key: "intra_op_thread_count@cpu" value { string_value: "1" } }\n',
        )
        self.assertIn("says so already", self.tune(*QUICK, "--max-batch=8"))

    def test_that_requests_may_bring_fewer_rows_is_told(self):
        told = "Requests may bring 4 rows then, and 8 before; --max-batch 8 keeps that"
        self.assertIn(told, self.tune(*QUICK, "--max-batch=4"))
        self.assertNotIn("Requests may bring", self.tune(*QUICK, "--max-batch=8"))

    def test_a_config_that_is_a_folder_is_refused(self):
        os.remove(self.path)
        os.makedirs(self.path)
        self.assertIn("is a folder", self.tune(code=2))

    def test_a_setting_that_does_not_work_is_told_and_not_taken(self):
        extra = "dynamic_batching { preferred_batch_size: [ 8 ] }"
        self.repository.add("choosy", config("choosy", extra=extra))
        shown = self.tune(*QUICK, "--max-batch=4,8", model="choosy")
        self.assertRegex(shown, r"does not work: config.pbtxt:\d+: .*preferred_batch_size")
        self.assertRegex(shown, r"1 +1 +8 +.*chosen")

    def test_a_model_that_never_works_is_no_success(self):
        self.repository.add("bad", config("bad", parameters={"mode": "nonsense"}))
        self.assertIn("no setting works", self.tune(*QUICK, model="bad", code=1))

    def test_a_shape_that_does_not_fit_is_told_before_all_is_tried(self):
        shown = self.tune(*QUICK, "--max-batch=1,8", "--shape=nothing:4", code=2)
        self.assertIn("nothing", shown.splitlines()[-1])
        self.assertNotIn("batch 8", shown)

    def test_an_interrupted_trial_leaves_nothing_behind(self):
        folder = self.enterContext(tempfile.TemporaryDirectory())
        tuning = subprocess.Popen(
            [
                *(build_path("tandem"), "tune", "slow", "--duration=1h", "--lanes=1"),
                "--model-repository=" + self.repository.path,
                "--worker=" + build_path("tandem-worker-plain"),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=clean_environment() | {"TMPDIR": folder},
            text=True,
        )
        with tuning:
            # The first setting is told when its server is about to be started.
            for line in tuning.stdout:
                if "lanes 1" in line:
                    break
            self.assertNotEqual(os.listdir(folder), [])
            tuning.send_signal(signal.SIGINT)
            shown = tuning.stdout.read()
        self.assertEqual(tuning.returncode, 130, shown)
        self.assertEqual(shown, "tandem: interrupted\n")
        self.assertEqual(os.listdir(folder), [])

    def test_what_cannot_be_tried_is_refused(self):
        self.repository.add("bare", None)
        for arguments, model, reason in (
            (["--max-batch=9"], "slow", "config.pbtxt allows 8"),
            (["--duration=soon"], "slow", "expected a time"),
            ([], "bare", "a model needs one to be tuned"),
            ([], "nobody", "cannot be read"),
        ):
            with self.subTest(arguments=arguments, model=model):
                self.assertIn(reason, self.tune(*arguments, model=model, code=2))

    def test_a_repository_that_is_not_there_is_named_with_the_flag(self):
        code, _, error = run_to_end(["tune", "slow", "--model-repository=missing"])
        self.assertEqual(code, 2, error)
        self.assertIn("there is no model repository missing; --model-repository names it", error)


if __name__ == "__main__":
    harness.main()
