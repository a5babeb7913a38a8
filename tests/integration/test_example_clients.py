"""The example clients of examples/client, as their README says to run them."""

import os
import subprocess
import sys
import tempfile
import unittest

import harness
from harness import build_path, source_path
from harness.repository import Repository
from harness.server import Server, clean_environment

TIMEOUT = 60


class ExampleClientsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        repository = cls.enterClassContext(Repository())
        repository.synthetic("light")
        repository.synthetic("deep", kinds=["KIND_GPU"])
        cls.server = cls.enterClassContext(Server(repository.path))
        folder = cls.enterClassContext(tempfile.TemporaryDirectory())
        description = os.path.join(folder, "tandem.desc")
        subprocess.run(
            [
                os.environ.get("TANDEM_PROTOC", "protoc"),
                "--include_imports",
                "--descriptor_set_out=" + description,
                "-I" + source_path("proto"),
                "tandem.proto",
            ],
            check=True,
        )
        cls.cpp = [build_path("tandem-example-client"), cls.server.address]
        cls.python = [
            sys.executable,
            source_path("examples/client/client.py"),
            cls.server.address,
            description,
        ]

    def run_client(self, client, *arguments):
        done = subprocess.run(
            [*client, *arguments],
            env=clean_environment(),
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
        return done.returncode, done.stdout.splitlines(), done.stderr

    def test_the_client_in_cpp_prints_each_answer_and_the_merged_one(self):
        code, lines, error = self.run_client(self.cpp, "[[1, 2, 3, 4]]", "light", "deep")
        self.assertEqual(code, 0, error)
        self.assertEqual(
            lines,
            [
                "alone: light OUTPUT0 FP32[1,4] 1, 2, 3, 4",
                "light on cpu/0: OUTPUT0 FP32[1,4] 1, 2, 3, 4",
                "deep on gpu/0: OUTPUT0 FP32[1,4] 1, 2, 3, 4",
                "together: combined FP32[1,4] 1, 2, 3, 4",
            ],
        )

    def test_the_client_in_python_prints_each_answer_and_the_merged_one(self):
        code, lines, error = self.run_client(self.python, "[[1, 2, 3, 4]]", "light", "deep")
        self.assertEqual(code, 0, error)
        numbers = "[[1.0, 2.0, 3.0, 4.0]]"
        self.assertEqual(
            lines,
            [
                f"alone: light OUTPUT0 {numbers}",
                f"light on cpu/0: OUTPUT0 {numbers}",
                f"deep on gpu/0: OUTPUT0 {numbers}",
                f"together: combined {numbers}",
            ],
        )

    def test_a_model_that_is_not_there_is_named_in_one_line(self):
        for client in (self.cpp, self.python):
            with self.subTest(client=client[0]):
                code, lines, error = self.run_client(client, "[[1, 2, 3, 4]]", "nobody")
                self.assertEqual((code, lines), (1, []))
                self.assertIn("NOT_FOUND", error)
                self.assertIn("nobody", error)
                self.assertEqual(len(error.splitlines()), 1, error)


if __name__ == "__main__":
    harness.main()
