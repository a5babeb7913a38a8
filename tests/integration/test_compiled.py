"""Models that `tandem export` compiled, through the server: fixed and any batch sizes, bfloat16, saved
programs, and what is refused.
"""

import concurrent.futures
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
import zipfile

import harness
import numpy as np
from harness import build_path, has_torch, source_path
from harness.repository import Repository
from harness.server import Server
from harness.tensors import infer_outputs, infer_request

TIMEOUT = 60
WEIGHT = np.arange(12, dtype=np.float32).reshape(4, 3) / 10
INPUTS = ("--input=x=FP32[4]", "--input=y=FP32[3]")
IMAGES = ("--input=x=FP32[32,28,28]", "--max-batch-size=1", "--winograd")
WIDE = ("--input=x=FP32[262144]", "--max-batch-size=1", "--batch-sizes=1")


NET = source_path("tests/support/harness/compiled_model.py") + ":Net"


# Debian's links that have the compiler's names.
CCACHE_LINKS = "/usr/lib/ccache"


def compiler_environment():
    """What spares torch from doing again what it did in an earlier run: it tries by six processes what the
    CPU takes, which the kernel tells it as well, and compiles what ccache holds from then on.
    """
    with open("/proc/cpuinfo", "rb") as file:
        flags = next((line for line in file if line.startswith((b"flags", b"Features"))), b"")
    return {
        "TORCHINDUCTOR_VEC_ISA_OK": "1",
        "PATH": CCACHE_LINKS + os.pathsep + os.environ["PATH"],
        # Torch includes headers that it has the compiler read beforehand.
        "CCACHE_SLOPPINESS": "pch_defines,time_macros,include_file_mtime,include_file_ctime",
        # Torch has the code made for the CPU at hand.
        "CCACHE_NAMESPACE": "cpu-" + hashlib.sha256(flags).hexdigest()[:12],
    }


def export(folder, *arguments, source=NET, **environment):
    """Runs `tandem export`, by default on the model of the harness and with this Python."""
    return subprocess.run(
        [build_path("tandem"), "export", source, folder, *arguments],
        env={
            **os.environ,
            **compiler_environment(),
            "TANDEM_PYTHON": sys.executable,
            **environment,
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )


def save_program(path):
    """Has the model of the harness saved by torch.export.save, for batches of 1 alone."""
    program = (
        "import sys, torch; from harness.compiled_model import Net;"
        "torch.export.save(torch.export.export(Net().eval(), (torch.rand(1, 4), torch.rand(1, 3))),"
        " sys.argv[1])"
    )
    subprocess.run([sys.executable, "-B", "-c", program, path], check=True, capture_output=True)


def can_compile():
    return has_torch() and shutil.which("g++") is not None


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
        saved = repository.path + ".pt2"
        cls.addClassCleanup(lambda: os.path.exists(saved) and os.remove(saved))
        net, from_program, larger, in_bf16, wide, images = (
            os.path.join(repository.path, name)
            for name in ("net", "saved", "larger", "bf16", "wide", "images")
        )
        one = (*INPUTS, "--outputs=z,total", "--max-batch-size=1")
        sizes = ("--max-batch-size=8", "--batch-sizes=1,4")
        two = ("--max-batch-size=2", "--batch-sizes=2")
        once = NET.replace(":Net", ":net_made_once")
        # Side by side, since each takes a while.
        with concurrent.futures.ThreadPoolExecutor() as threads:
            saving = threads.submit(save_program, saved)
            exports = [
                threads.submit(export, net, *INPUTS, "--outputs=z,total", *sizes),
                threads.submit(export, in_bf16, *one, "--precision=bf16", source=once),
            ]
            saving.result()
            exports.append(threads.submit(export, from_program, *one, source=saved))
            exports.append(threads.submit(export, larger, *INPUTS, *two, source=saved))
            exports.append(threads.submit(export, wide, *WIDE, source=NET.replace(":Net", ":Wide")))
            exports.append(
                threads.submit(export, images, *IMAGES, source=NET.replace(":Net", ":Images"))
            )
        cls.exported, cls.in_bf16, cls.from_program, cls.larger, exported_wide, cls.images = (
            e.result() for e in exports
        )
        cls.wide = os.path.join(wide, "1", "model.b1.pt2")
        for done in (cls.exported, cls.in_bf16, cls.from_program, exported_wide, cls.images):
            assert done.returncode == 0, done.stderr + done.stdout
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
        for name in (
            "fixed_only",
            "never_asked",
            "other_torch",
            "other_cpu",
            "other_device",
            "only_four",
            "unbatched",
            "nothing",
            "damaged",
        ):
            folder = os.path.join(repository.path, name)
            shutil.copytree(net, folder)
            config = cls.config.replace('name: "net"', f'name: "{name}"')
            if name in ("fixed_only", "only_four", "unbatched"):
                os.remove(os.path.join(folder, "1", "model.pt2"))
            if name == "only_four":
                os.remove(os.path.join(folder, "1", "model.b1.pt2"))
            if name == "unbatched":
                config = config.replace("max_batch_size: 8", "max_batch_size: 0")
                config = config.replace("dynamic_batching { }", "")
            if name == "nothing":
                shutil.rmtree(os.path.join(folder, "1"))
                os.makedirs(os.path.join(folder, "1"))
            repository.write(name + "/config.pbtxt", config.encode())
        folder = os.path.join(repository.path, "other_torch", "1", "model.b1.pt2")
        change_metadata(folder, '"TANDEM_TORCH_VERSION": "2.', '"TANDEM_TORCH_VERSION": "1.')
        folder = os.path.join(repository.path, "other_cpu", "1", "model.pt2")
        change_metadata(folder, '"TANDEM_CPU_FEATURES": "', '"TANDEM_CPU_FEATURES": "avx9000 ')
        folder = os.path.join(repository.path, "other_device", "1", "model.b1.pt2")
        change_metadata(folder, '"AOTI_DEVICE_KEY": "cpu"', '"AOTI_DEVICE_KEY": "cuda"')
        repository.write("damaged/1/model.b4.pt2", b"no package")

    def check(self, model, rows, tolerance=1e-5):
        x = np.random.default_rng(rows).random((rows, 4), dtype=np.float32) - 0.5
        y = np.random.default_rng(rows + 100).random((rows, 3), dtype=np.float32)
        reply = self.server.infer.ModelInfer(
            infer_request(model, {"x": x, "y": y}), timeout=TIMEOUT
        )
        outputs = infer_outputs(reply)
        np.testing.assert_allclose(outputs["z"], np.maximum(x @ WEIGHT, 0) + y, atol=tolerance)
        np.testing.assert_allclose(outputs["total"], x.sum(1, keepdims=True), atol=tolerance)

    def test_every_batch_size_is_right(self):
        # 1 and 4 have a package of their own, the rest take the one for any size.
        for rows in range(1, 9):
            with self.subTest(rows=rows):
                self.check("net", rows)

    def test_other_batches_run_in_parts_of_the_fixed_sizes(self):
        for rows in range(1, 9):
            with self.subTest(rows=rows):
                self.check("fixed_only", rows)

    def test_a_batch_smaller_than_the_only_size_is_filled_up(self):
        for rows in range(1, 8):
            with self.subTest(rows=rows):
                self.check("only_four", rows)

    def test_a_saved_program_is_served(self):
        self.check("saved", 1)

    def test_a_saved_program_is_refused_for_batches_that_it_was_not_exported_for(self):
        self.assertEqual(self.larger.returncode, 2, self.larger.stderr)
        self.assertIn("the model does not run with x FP32[2,4], y FP32[2,3]", self.larger.stderr)
        self.assertNotIn("Traceback", self.larger.stderr)

    def test_a_model_in_bfloat16_is_served_with_the_types_that_it_had(self):
        self.check("bf16", 1, tolerance=2e-2)
        difference = re.search(r"batch 1: largest difference (\S+)", self.in_bf16.stdout)
        # It really computes in bfloat16.
        self.assertGreater(float(difference[1]), 1e-5)

    def test_a_convolution_in_the_way_that_was_measured_to_be_fastest_is_served(self):
        self.assertRegex(
            self.images.stdout,
            r"convolutions of 32 to 32 channels on 1x28x28: [\d.]+ ms,"
            r" [\d.]+ in tiles of 2x2, [\d.]+ in tiles of 4x4: (done in|left)",
        )
        x = np.zeros((1, 32, 28, 28), dtype=np.float32)
        x[0, :, 5, 5] = 1
        reply = self.server.infer.ModelInfer(infer_request("images", {"x": x}), timeout=TIMEOUT)
        filters = np.arange(9216).reshape(32, 32, 3, 3) % 7
        expected = np.zeros((1, 32, 28, 28), dtype=np.float32)
        expected[0, :, 4:7, 4:7] = filters.sum(1)[:, ::-1, ::-1]
        np.testing.assert_allclose(infer_outputs(reply)["OUTPUT__0"], expected, atol=1e-3)

    def test_its_code_takes_the_threads_that_the_server_gives_it(self):
        with zipfile.ZipFile(self.wide) as package:
            code = "".join(package.read(name).decode() for name in package.namelist() if
                           name.endswith(".cpp"))
        if len(os.sched_getaffinity(0)) > 1:
            self.assertIn("#pragma omp parallel", code)
        # That would be those of the machine that compiled it.
        self.assertNotRegex(code, r"omp parallel.*num_threads")

    def test_its_times_are_known_from_its_load(self):
        (model,) = [m for m in self.server.status().models if m.name == "never_asked"]
        self.assertEqual(model.requests, 0)
        (cost,) = model.costs
        # Sizes 1 and 4 have files of their own; the file for any is timed at 2 and 8 rows. Each up to
        # three times, less often where the machine is so busy that a run takes long.
        self.assertGreaterEqual(cost.batches, 4 * 2)
        self.assertGreater(cost.alpha_us + cost.beta_us, 0)

    def test_nothing_is_left_in_the_folder_for_temporary_files(self):
        left = [name for name in os.listdir(self.temporary) if not name.startswith("tandem-")]
        self.assertEqual(left, [])

    def test_the_exporter_says_how_near_it_came(self):
        for line in ("model.b1.pt2: batch 1:", "model.b4.pt2: batch 4:", "model.pt2: batch 8:"):
            self.assertIn(line, self.exported.stdout)

    def test_what_does_not_fit_is_refused_with_the_reason(self):
        index = self.server.index()
        for model, reason in (
            ("other_torch", "model.b1.pt2: "),
            ("other_torch", "made for torch 1."),
            ("other_cpu", "CPUs with avx9000"),
            ("other_device", "made for the device cuda, but this worker has cpu"),
            ("unbatched", "max_batch_size is 0, but each file was compiled for a batch size"),
            ("nothing", "cannot be found"),
            ("damaged", "model.b4.pt2: "),
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
                ([*INPUTS, "--max-batch-size=1", "--tolerance=1e-30"], "--tolerance is 1e-30"),
            ):
                with self.subTest(reason=reason):
                    done = export(folder, *arguments)
                    self.assertEqual(done.returncode, 2, done.stderr)
                    self.assertIn(reason, done.stderr.splitlines()[-1])
            self.assertFalse(os.path.exists(folder))

    def test_torchscript_is_not_compiled(self):
        with Repository() as repository:
            folder = os.path.join(repository.path, "m")
            done = export(folder, *INPUTS, source="net.pt")
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn("a TorchScript file is served as it is", done.stderr)


class WithoutTorchTest(unittest.TestCase):
    def test_a_python_that_is_not_there_is_told(self):
        done = export("m", *INPUTS, TANDEM_PYTHON="/nowhere/python")
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn('"/nowhere/python" cannot be run', done.stderr)
        self.assertIn("TANDEM_PYTHON=", done.stderr)

    def test_a_python_without_torch_is_told(self):
        with tempfile.TemporaryDirectory() as folder:
            with open(os.path.join(folder, "torch.py"), "w", encoding="ascii") as file:
                file.write('raise ModuleNotFoundError("No module named torch", name="torch")\n')
            done = export("m", *INPUTS, PYTHONPATH=folder)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn("has no module torch: choose a Python", done.stderr)
            self.assertIn("TANDEM_PYTHON=", done.stderr)
            self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
            helped = export("--help", PYTHONPATH=folder, source="--help")
            self.assertEqual(helped.returncode, 0, helped.stderr)
            self.assertIn("--batch-sizes", helped.stdout)


if __name__ == "__main__":
    harness.main()
