"""tools/gpu_check.sh as far as a machine without a GPU allows: it packs its bundle, runs it with a CPU
worker in the GPU worker's place, and says that it did.
"""

import json
import os
import subprocess
import sys
import tempfile
import unittest

import harness
from harness import build_path, has_torch, source_path

MOST_BYTES = 60_000_000
NO_GPU = 77
PROGRAMS = ("tandem", "tandem-worker-cuda", "tandem_gpu_test", "bench-libtorch-loop-cuda")


def gpu_check(*arguments):
    environment = {
        **os.environ,
        "TANDEM_PYTHON": sys.executable,
        "TANDEM_BUILD_DIR": os.environ["TANDEM_BUILD_DIR"],
    }
    return subprocess.run(
        [source_path("tools/gpu_check.sh"), *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )


@unittest.skipUnless(
    all(os.path.exists(build_path(name)) for name in PROGRAMS), "this build has no LibTorch"
)
@unittest.skipUnless(has_torch(), "Python's torch is not installed")
class GpuCheckTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = cls.enterClassContext(tempfile.TemporaryDirectory())
        cls.bundle = os.path.join(cls.folder, "bundle.tar.gz")
        packed = gpu_check("pack", cls.bundle)
        assert packed.returncode == 0, packed.stderr + packed.stdout

    def run_check(self, *options):
        """Exit code, what was printed, and the report in both its forms."""
        out = os.path.join(self.folder, self.id().rsplit(".", 1)[-1])
        done = gpu_check("--bundle", self.bundle, "--out", out, "--quick", *options)
        text = done.stdout + done.stderr
        self.assertTrue(os.path.exists(os.path.join(out, "report.json")), text)
        with open(os.path.join(out, "report.json"), encoding="utf-8") as file:
            report = json.load(file)
        with open(os.path.join(out, "report.md"), encoding="utf-8") as file:
            return done.returncode, text, report, file.read()

    def test_the_bundle_is_small_enough_to_travel(self):
        self.assertLess(os.path.getsize(self.bundle), MOST_BYTES)
        listed = subprocess.run(
            ["tar", "-tzf", self.bundle], capture_output=True, text=True, check=True
        ).stdout
        for name in PROGRAMS:
            self.assertIn(f"tandem-gpu/bin/{name}\n", listed)
        for library in ("libtorch_cpu", "libtorch_cuda", "libcudart", "libc.so"):
            self.assertNotIn(library, listed)

    def test_it_runs_end_to_end_on_a_fake_device_and_says_so(self):
        code, text, report, markdown = self.run_check("--fake-device")
        self.assertEqual(code, 0, text)
        self.assertIn("fake", report["facts"]["device"])
        self.assertIn("No real device", markdown)
        # Every figure was measured, and none is judged.
        self.assertGreater(len(report["figures"]), 10)
        for figure in report["figures"]:
            with self.subTest(what=figure["what"]):
                self.assertIsNotNone(figure["value"])
                self.assertEqual(figure["verdict"], "not judged" if figure["limit"] else "")
                self.assertIn(figure["what"], markdown)
        judged = [f["limit"] for f in report["figures"] if f["limit"]]
        self.assertIn("at least 0.97", judged)
        self.assertIn("at least 0.95", judged)
        self.assertIn("at most 1.05", judged)

    @unittest.skipIf(os.path.exists("/proc/driver/nvidia"), "this machine has a GPU")
    def test_without_a_gpu_its_results_are_told_as_not_run(self):
        code, text, report, markdown = self.run_check()
        self.assertEqual(code, NO_GPU, text)
        (test,) = report["tests"]
        self.assertIn("not run: skipped: no GPU is visible", test["result"])
        self.assertIn("No GPU is visible", markdown)
        for figure in report["figures"]:
            self.assertEqual(figure["verdict"], "not run")

    def test_a_wrong_option_is_told(self):
        done = gpu_check("--fast")
        self.assertEqual(done.returncode, 1)
        self.assertIn("no such option: --fast", done.stderr)


if __name__ == "__main__":
    harness.main()
