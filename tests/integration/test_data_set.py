"""`tandem predict` over a data set: what it writes, bad rows, interrupted jobs."""

import json
import os
import signal
import subprocess
import tempfile
import unittest

import numpy as np

import harness
from harness import build_path
from harness.repository import Repository
from harness.server import Server, clean_environment, run_to_end

ROWS = 500
DONE, FAILED, BAD_USAGE, INTERRUPTED = 0, 1, 2, 130


class DataSetTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        repository = cls.enterClassContext(Repository())
        repository.synthetic("light")
        repository.synthetic("deep", kinds=["KIND_GPU"])
        repository.synthetic("slow", parameters={"alpha_us": 20_000})
        cls.server = cls.enterClassContext(Server(repository.path))
        cls.folder = cls.enterClassContext(tempfile.TemporaryDirectory())
        cls.rows = np.arange(ROWS * 4, dtype=np.float32).reshape(ROWS, 4)
        np.save(os.path.join(cls.folder, "rows.npy"), cls.rows)

    def predict(self, *arguments, code=DONE):
        """Runs `tandem predict` against the server; its output."""
        got, out, error = run_to_end(["predict", *arguments, "--target=" + self.server.address])
        self.assertEqual(got, code, error)
        return out + error

    def path(self, name):
        return os.path.join(self.folder, name)

    def test_a_data_set_goes_through_both_lists_in_its_order(self):
        self.predict(
            "--dataset=" + self.path("rows.npy"),
            "--output=" + self.path("both.npz"),
            "--cpu-models=light",
            "--gpu-models=deep",
            "--combine=mean",
        )
        predictions = np.load(self.path("both.npz"))
        self.assertTrue(predictions["row_ok"].all())
        for name in ("light.OUTPUT0", "deep.OUTPUT0", "combined"):
            np.testing.assert_array_equal(predictions[name], self.rows)

    def test_a_bad_row_is_told_the_others_are_predicted_and_the_code_tells(self):
        with open(self.path("bad.csv"), "w", encoding="ascii") as file:
            file.write("a,b,c,d\n1,2,3,4\n1,2,x,4\n5,6,7,8\n")
        out = self.predict(
            "--dataset=" + self.path("bad.csv"),
            "--output=" + self.path("bad.jsonl"),
            "--cpu-models=light",
            code=FAILED,
        )
        self.assertIn("line 3", out)
        with open(self.path("bad.jsonl"), encoding="utf-8") as file:
            rows = [json.loads(line) for line in file]
        self.assertEqual([row["row"] for row in rows], [0, 1, 2])
        self.assertEqual(rows[2]["models"]["light"]["OUTPUT0"], [5, 6, 7, 8])
        self.assertIn("error", rows[1])

    def test_a_row_that_fails_is_told_with_its_line(self):
        with open(self.path("lines.csv"), "w", encoding="ascii") as file:
            file.write("a,b,c,d\n1,2,3,4\n\n1,2,1e999,4\n1,2,1e39,4\n")
        out = self.predict(
            "--dataset=" + self.path("lines.csv"),
            "--output=" + self.path("lines.jsonl"),
            "--cpu-models=light",
            code=FAILED,
        )
        self.assertIn('row 1: line 4, column 3: "1e999" is too large', out)
        self.assertIn("row 2 (line 5): the input holds 1e+39", out)

    def test_rows_before_a_cut_in_the_file_are_kept(self):
        with open(self.path("rows.npy"), "rb") as whole, open(self.path("cut.npy"), "wb") as cut:
            cut.write(whole.read()[: -self.rows[22:].nbytes + 3])
        files = ["--dataset=" + self.path("cut.npy"), "--output=" + self.path("cut.npz")]
        out = self.predict(*files, "--cpu-models=light", code=FAILED)
        self.assertIn(f"ends within row 22 of {ROWS}", out)
        self.assertIn("Stopped after 22 rows", out)
        predictions = np.load(self.path("cut.npz.partial"))
        np.testing.assert_array_equal(predictions["light.OUTPUT0"], self.rows[:22])

    def test_two_jobs_do_not_write_one_output(self):
        output = self.path("once.jsonl")
        job = subprocess.Popen(
            [
                build_path("tandem"),
                "predict",
                "--dataset=" + self.path("rows.npy"),
                "--output=" + output,
                "--cpu-models=slow",
                "--target=" + self.server.address,
            ],
            env=clean_environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        start = self.requests("slow")
        while self.requests("slow") < start + 1:
            self.assertIsNone(job.poll(), "the job ended before there was another")
        for resume in ([], ["--resume"]):
            got, out, error = run_to_end(
                [
                    "predict",
                    "--json",
                    "--dataset=" + self.path("rows.npy"),
                    "--output=" + output,
                    "--cpu-models=light",
                    "--target=" + self.server.address,
                    *resume,
                ]
            )
            self.assertEqual(got, BAD_USAGE, error)
            self.assertIn("another job is writing", json.loads(out)["error"]["message"])
        self.assertEqual(job.wait(60), DONE)
        with open(output, encoding="utf-8") as file:
            rows = [json.loads(line) for line in file]
        np.testing.assert_array_equal([row["models"]["slow"]["OUTPUT0"] for row in rows], self.rows)
        left = [name for name in os.listdir(self.folder) if name.startswith("once.")]
        self.assertEqual(left, ["once.jsonl"])

    def test_an_interrupted_job_keeps_what_is_done_and_resume_goes_on(self):
        output = self.path("resumed.jsonl")
        command = [
            build_path("tandem"),
            "predict",
            "--dataset=" + self.path("rows.npy"),
            "--output=" + output,
            "--cpu-models=slow",
            "--target=" + self.server.address,
        ]
        job = subprocess.Popen(
            [*command, "--concurrency=2"],
            env=clean_environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        # The server tells how far it is: asking it again and again waits for the job's requests.
        start = self.requests("slow")
        while self.requests("slow") < start + 20:
            self.assertIsNone(job.poll(), "the job ended before it was interrupted")
        job.send_signal(signal.SIGINT)
        self.assertEqual(job.wait(60), INTERRUPTED)
        before = self.requests("slow") - start
        self.assertLess(before, ROWS)
        done = subprocess.run(
            [*command, "--resume", "--quiet"], env=clean_environment(), check=False, timeout=120
        )
        self.assertEqual(done.returncode, DONE)
        with open(output, encoding="utf-8") as file:
            rows = [json.loads(line) for line in file]
        self.assertEqual([row["row"] for row in rows], list(range(ROWS)))
        np.testing.assert_array_equal([row["models"]["slow"]["OUTPUT0"] for row in rows], self.rows)
        # It went on, and did not begin anew: only rows that were under way may have run twice.
        self.assertLess(self.requests("slow") - start, ROWS + 20)

    def requests(self, model):
        """How many requests of a model the server has answered."""
        return next(m.requests for m in self.server.status().models if m.name == model)


if __name__ == "__main__":
    harness.main()
