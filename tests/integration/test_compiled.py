"""Models that `tandem_export.py` compiled, through the server: fixed and any batch sizes, and what
is refused.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import unittest
import zipfile

import harness
import numpy as np
from harness import build_path, source_path
from harness.repository import Repository
from harness.server import Server
from harness.tensors import infer_outputs, infer_request

TIMEOUT = 60
WEIGHT = np.arange(12, dtype=np.float32).reshape(4, 3) / 10
INPUTS = ("--input=x=FP32[4]", "--input=y=FP32[3]")


def export(folder, *arguments):
    """Runs the exporter on the model of the harness."""
    model = source_path("tests/support/harness/compiled_model.py") + ":Net"
    command = [sys.executable, "-B", source_path("client/python/tandem_export.py"), model, folder]
    return subprocess.run(
        [*command, *arguments], capture_output=True, text=True, check=False, timeout=280
    )


def can_compile():
    command = [sys.executable, "-c", "import torch"]
    has_torch = subprocess.run(command, capture_output=True, check=False).returncode == 0
    return has_torch and shutil.which("g++") is not None


def change_metadata(package, old, new):
    """Rewrites the metadata inside of a package."""
    copy = package + ".new"
    with zipfile.ZipFile(package) as source, zipfile.ZipFile(copy, "w") as target:
        for item in source.infolist():
            data = source.read(item)
            if item.filename.endswith("_metadata.json") and old.encode() in data:
                data = data.replace(old.encode(), new.encode())
            target.writestr(item, data)
    os.replace(copy, package)


@unittest.skipUnless(os.path.exists(build_path("tandem-worker")), "this build has no LibTorch")
@unittest.skipUnless(can_compile(), "Python's torch or g++ is not installed")
class CompiledTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        repository = cls.enterClassContext(Repository())
        net = os.path.join(repository.path, "net")
        cls.exported = export(
            net, *INPUTS, "--outputs=z,total", "--max-batch-size=8", "--batch-sizes=1,4"
        )
        assert cls.exported.returncode == 0, cls.exported.stderr + cls.exported.stdout
        with open(os.path.join(net, "config.pbtxt"), encoding="utf-8") as file:
            cls.config = file.read()
        cls.variants(repository, net)
        cls.temporary = cls.enterClassContext(tempfile.TemporaryDirectory())
        server = Server(repository.path, worker=None)
        server.environment["TMPDIR"] = cls.temporary
        cls.server = cls.enterClassContext(server)

    @classmethod
    def variants(cls, repository, net):
        """Copies of the model that each lack or change something."""
        for name in ("fixed_only", "other_torch", "other_cpu", "too_few", "nothing", "damaged"):
            folder = os.path.join(repository.path, name)
            shutil.copytree(net, folder)
            config = cls.config.replace('name: "net"', f'name: "{name}"')
            if name == "fixed_only":
                os.remove(os.path.join(folder, "1", "model.pt2"))
                config = config.replace("max_batch_size: 8", "max_batch_size: 4")
            if name == "too_few":
                os.remove(os.path.join(folder, "1", "model.pt2"))
            if name == "nothing":
                shutil.rmtree(os.path.join(folder, "1"))
                os.makedirs(os.path.join(folder, "1"))
            repository.write(name + "/config.pbtxt", config.encode())
        folder = os.path.join(repository.path, "other_torch", "1", "model.b1.pt2")
        change_metadata(folder, '"TANDEM_TORCH_VERSION": "2.', '"TANDEM_TORCH_VERSION": "1.')
        folder = os.path.join(repository.path, "other_cpu", "1", "model.pt2")
        change_metadata(folder, '"TANDEM_CPU_FEATURES": "', '"TANDEM_CPU_FEATURES": "avx9000 ')
        repository.write("damaged/1/model.b4.pt2", b"no package")

    def check(self, model, rows):
        x = np.random.default_rng(rows).random((rows, 4), dtype=np.float32) - 0.5
        y = np.random.default_rng(rows + 100).random((rows, 3), dtype=np.float32)
        reply = self.server.infer.ModelInfer(
            infer_request(model, {"x": x, "y": y}), timeout=TIMEOUT
        )
        outputs = infer_outputs(reply)
        np.testing.assert_allclose(outputs["z"], np.maximum(x @ WEIGHT, 0) + y, atol=1e-5)
        np.testing.assert_allclose(outputs["total"], x.sum(1, keepdims=True), atol=1e-5)

    def test_every_batch_size_is_right(self):
        # 1 and 4 have a package of their own, the rest take the one for any size.
        for rows in range(1, 9):
            with self.subTest(rows=rows):
                self.check("net", rows)

    def test_a_batch_between_the_fixed_sizes_is_filled_up(self):
        for rows in range(1, 5):
            with self.subTest(rows=rows):
                self.check("fixed_only", rows)

    def test_nothing_is_left_in_the_folder_for_temporary_files(self):
        left = [name for name in os.listdir(self.temporary) if not name.startswith("tandem-")]
        self.assertEqual(left, [])

    def test_the_exporter_says_how_near_it_came(self):
        for line in ("model.b1.pt2: batch 1:", "model.b4.pt2: batch 4:", "model.pt2: batch 8:"):
            self.assertIn(line, self.exported.stdout)

    def test_what_does_not_fit_is_refused_with_the_reason(self):
        index = self.server.index()
        for model, reason in (
            ("other_torch", "made for torch 1."),
            ("other_cpu", "CPUs with avx9000"),
            ("too_few", "max_batch_size is 8, but no file was compiled for so many rows"),
            ("nothing", "cannot be found"),
            ("damaged", "cannot be read as an AOTInductor package"),
        ):
            with self.subTest(model=model):
                state, told = index[(model, "1")]
                self.assertEqual(state, "UNAVAILABLE")
                self.assertIn(reason, told)
                self.assertNotIn("/proc", told)


@unittest.skipUnless(can_compile(), "Python's torch or g++ is not installed")
class ExporterTest(unittest.TestCase):
    def test_what_cannot_be_exported_is_refused_in_one_line(self):
        with Repository() as repository:
            folder = os.path.join(repository.path, "m")
            for arguments, reason in (
                (["--input=x"], "expected NAME=TYPE[D1,D2]"),
                ([*INPUTS, "--batch-sizes=9"], "--batch-sizes 9"),
                ([*INPUTS, "--outputs=z", "--max-batch-size=1"], "--outputs names 1"),
            ):
                with self.subTest(reason=reason):
                    done = export(folder, *arguments)
                    self.assertEqual(done.returncode, 2, done.stderr)
                    self.assertIn(reason, done.stderr.splitlines()[-1])
            self.assertFalse(os.path.exists(os.path.join(folder, "1", "model.b1.pt2")))


if __name__ == "__main__":
    harness.main()
