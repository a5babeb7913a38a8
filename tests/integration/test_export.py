"""What `tandem export` refuses and keeps. No package is compiled here: stand-ins take the place of torch's
compiler and loader, and test_compiled.py has the real ones.
"""

import contextlib
import io
import os
import sys
import tempfile
import traceback
import unittest
import unittest.mock

import harness
from harness import has_torch, source_path

sys.path.insert(0, source_path("client/python"))

MODELS = """
import torch

class Double(torch.nn.Module):
    def forward(self, x):
        return x * 2

class Two(torch.nn.Module):
    def forward(self, x):
        return x * 2, x + 1

class Nothing(torch.nn.Module):
    def forward(self, x):
        return ()

class Sum(torch.nn.Module):
    def forward(self, x):
        return x.sum()

class SumOfRows(torch.nn.Module):
    def forward(self, x):
        return x.sum(0, keepdim=True)

class Deep(torch.nn.Module):
    def forward(self, x):
        return x.reshape(-1, 4, 1, 1, 1, 1, 1, 1, 1)

class Empty(torch.nn.Module):
    def forward(self, x):
        return x[:, 4:]

class NotANumber(torch.nn.Module):
    def forward(self, x):
        return torch.stack([x[:, 0] * float("nan"), x[:, 0] * float("inf"), x[:, 1]], 1)

def failing():
    raise ValueError("no weights")

def text():
    return "no module"

number = 5
"""
DOUBLE_CONFIG = """name: "m"
platform: "torch_aoti"
max_batch_size: 1
input { name: "x" data_type: TYPE_FP32 dims: [ 4 ] }
output { name: "OUTPUT__0" data_type: TYPE_FP32 dims: [ 4 ] }
instance_group { kind: KIND_CPU }
"""
# As somebody may write it, and as `tandem tune --write` changes it.
OWN_CONFIG = """# Ours.
name: 'm'  platform: "torch_" "aoti"
max_batch_size: 1;
input [ { name: "x", data_type: TYPE_FP32, dims: 4 } ]
output: < name: "OUTPUT__0" data_type: TYPE_FP32 dims: [ 4 ] >
instance_group { kind: KIND_AUTO count: 2 }
parameters { key: "intra_op_thread_count" value { string_value: "2" } }
"""


class Case(unittest.TestCase):
    def setUp(self):
        self.path = self.enterContext(tempfile.TemporaryDirectory(prefix="tandem-export-"))
        self.models = self.write("nets.py", MODELS)
        self.folder = os.path.join(self.path, "m")

    def write(self, name, text):
        path = os.path.join(self.path, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def read_config(self):
        with open(os.path.join(self.folder, "config.pbtxt"), encoding="utf-8") as file:
            return file.read()

    def export(self, *arguments, source="Double", folder=None):
        """Exit code, standard output and standard error."""
        import tandem_export

        words = [f"{self.models}:{source}" if source.isalpha() else source, folder or self.folder]
        out, err = io.StringIO(), io.StringIO()
        code = 0
        with (
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            unittest.mock.patch.object(sys, "argv", ["-c", *words, *arguments]),
        ):
            try:
                tandem_export.main()
            except SystemExit as end:
                code = end.code
            except Exception:
                traceback.print_exc()
                code = 1
        return code, out.getvalue(), err.getvalue()

    def assert_refused(self, reason, *arguments, **where):
        code, out, err = self.export(*arguments, **where)
        self.assertEqual(code, 2, err + out)
        self.assertEqual(len(err.splitlines()), 1, err)
        self.assertTrue(err.startswith("tandem export: "), err)
        self.assertIn(reason, err)
        self.assertNotIn("is made", out)
        self.assertFalse(os.path.exists(os.path.join(self.folder, "1")))


class CommandLineTest(Case):
    """Refused before torch is imported."""

    def test_what_the_server_would_not_serve_is_refused(self):
        x = "--input=x=FP32[4]"
        for reason, *arguments in (
            ("--model-version 0: expected a number of 1 or more", x, "--model-version=0"),
            ("--model-version -1: expected a number of 1 or more", x, "--model-version=-1"),
            ("--max-batch-size -1: expected a number from 0", x, "--max-batch-size=-1"),
            ("--max-batch-size 2000000: expected a number from 0", x, "--max-batch-size=2000000"),
            (
                "--batch-sizes names 32 sizes: expected up to 31",
                x,
                "--max-batch-size=40",
                "--batch-sizes=" + ",".join(map(str, range(1, 33))),
            ),
            ("--outputs names a twice", x, "--outputs=a,a"),
            ("--outputs: a name is empty", x, "--outputs=a,"),
            ("--outputs 'a\"b': expected a name without quotes", x, '--outputs=a"b'),
            ("--outputs 'a\\nb': expected a name without quotes", x, "--outputs=a\nb"),
            ("--input x is given twice", x, "--input=x=INT8[1]"),
            ("--input 'x\"': expected a name without quotes", '--input=x"=FP32[4]'),
            ("--input x: expected dimensions of 1 or more", "--input=x=FP32[4,0]"),
            ("--input x has 8 dimensions", "--input=x=FP32[1,1,1,1,1,1,1,1]"),
            ("expected NAME=TYPE[D1,D2]", "--input=x=FP32[,]"),
        ):
            with self.subTest(reason=reason):
                self.assert_refused(reason, *arguments)
                self.assertFalse(os.path.exists(self.folder))

    def test_options_that_do_not_fit_are_told(self):
        x = "--input=x=FP32[4]"
        self.assert_refused("--batch-sizes: expected numbers as in 1,4, got 'x'", x, "--batch-sizes=x")
        self.assert_refused("--tolerance nan: expected a number", x, "--tolerance=nan")
        self.assert_refused("--winograd: expected --device cpu", x, "--winograd", "--device=cuda")
        self.assert_refused("--batch-sizes names none", x, "--batch-sizes=", "--max-batch-size=1")
        self.assert_refused("the following arguments are required: --input")

    def test_folders_that_are_none_for_a_model_are_refused(self):
        x = "--input=x=FP32[4]"
        for name, reason in (
            ("my model", "the server takes letters, digits"),
            ("modèle", "the server takes letters, digits"),
            (".hidden", "begin with a dot"),
            ("nets.py", "is no folder"),
        ):
            with self.subTest(name=name):
                self.assert_refused(reason, x, folder=os.path.join(self.path, name))


@unittest.skipUnless(has_torch(), "Python's torch is not installed")
class SourceTest(Case):
    def test_a_source_that_gives_no_model_is_told(self):
        for source, reason in (
            ("no_such_package:Net", "no_such_package cannot be imported: ModuleNotFoundError"),
            (f"{self.path}/none.py:Net", "cannot be read"),
            (self.write("broken.py", "a = (") + ":a", "cannot be imported: SyntaxError"),
            (self.write("exits.py", "\nraise SystemExit(0)") + ":a", "SystemExit: 0 (exits.py, line 2)"),
            (f"{self.models}:None_such", "has no None_such"),
            ("failing", "raised ValueError: no weights (nets.py, line 37)"),
            ("text", "made a str: expected a torch.nn.Module"),
            ("number", "is of type int: expected a torch.nn.Module or a function"),
        ):
            with self.subTest(source=source):
                self.assert_refused(reason, "--input=x=FP32[4]", source=source)
                self.assertFalse(os.path.exists(self.folder))

    def test_files_that_are_no_saved_program_are_told(self):
        import zipfile

        import torch

        saved = os.path.join(self.path, "saved.pt2")
        program = torch.export.export(torch.nn.Linear(4, 4).eval(), (torch.rand(1, 4),))
        torch.export.save(program, saved)
        with open(saved, "rb") as file:
            half = file.read(os.path.getsize(saved) // 2)
        with open(saved, "wb") as file:
            file.write(half)
        package = os.path.join(self.path, "package.pt2")
        with zipfile.ZipFile(package, "w") as file:
            file.writestr("package/data/aotinductor/model/model.so", b"")
        other = os.path.join(self.path, "other.pt2")
        with zipfile.ZipFile(other, "w") as file:
            file.writestr("text", b"")
        for source, reason in (
            (saved, "is no whole file of torch.export.save"),
            (other, "is no whole file of torch.export.save"),
            (package, "is compiled already"),
            (self.path + "/none.pt2", "cannot be read"),
        ):
            with self.subTest(source=source):
                self.assert_refused(reason, "--input=x=FP32[4]", source=source)


@unittest.skipUnless(has_torch(), "Python's torch is not installed")
class ExportTest(Case):
    """`self.compiled` computes what a package would that was compiled of the model."""

    def setUp(self):
        super().setUp()
        import torch

        self.compiled = lambda x: x * 2

        def compile_package(program, package_path, **_):
            with open(package_path, "wb"):
                return package_path

        self.compiler = self.enterContext(
            unittest.mock.patch.object(
                torch._inductor, "aoti_compile_and_package", side_effect=compile_package
            )
        )
        self.enterContext(
            unittest.mock.patch.object(
                torch._inductor, "aoti_load_package", lambda _: lambda *inputs: self.compiled(*inputs)
            )
        )

    def assert_made(self, *arguments, **where):
        code, out, err = self.export("--input=x=FP32[4]", "--max-batch-size=1", *arguments, **where)
        self.assertEqual(code, 0, err)
        self.assertIn("is made", out)
        return out

    def assert_refused(self, reason, *arguments, **where):
        arguments = arguments or ("--input=x=FP32[4]", "--max-batch-size=1")
        super().assert_refused(reason, *arguments, **where)

    def test_a_version_and_its_config_are_made(self):
        out = self.assert_made()
        self.assertIn("model.b1.pt2: batch 1: largest difference 0.0e+00", out)
        self.assertEqual(self.read_config(), DOUBLE_CONFIG)
        self.assertEqual(sorted(os.listdir(self.folder)), ["1", "config.pbtxt"])
        self.assertEqual(os.listdir(os.path.join(self.folder, "1")), ["model.b1.pt2"])

    def test_a_saved_program_for_another_size_than_1_is_taken(self):
        import torch

        saved = os.path.join(self.path, "saved.pt2")
        model = torch.nn.Linear(4, 4).eval()
        torch.export.save(torch.export.export(model, (torch.rand(3, 4),)), saved)
        self.compiled = model
        self.assert_made("--max-batch-size=3", "--batch-sizes=3", source=saved)
        self.assertEqual(os.listdir(os.path.join(self.folder, "1")), ["model.b3.pt2"])

    def test_what_gives_no_numbers_where_the_model_does_is_refused(self):
        for factor in (float("nan"), float("inf"), float("-inf")):
            with self.subTest(factor=factor):
                self.compiled = lambda x, factor=factor: x * factor
                self.assert_refused("gives NaN or infinities")
        self.compiled = lambda x: (x * 2, x * float("nan"))
        self.assert_refused("gives NaN or infinities", source="Two")
        self.compiled = lambda x: (x * float("nan"), x + 1)
        self.assert_refused("gives NaN or infinities", source="Two")
        self.assertFalse(os.path.exists(self.folder))

    def test_numbers_beside_infinities_are_compared(self):
        def compiled(x, nan=float("nan"), infinity=float("inf"), more=0.0):
            column = x[:, :1]
            return column.new_tensor([nan, infinity, 0.0]) + (x[:, [1, 1, 1]] + more) * column.new_tensor(
                [0.0, 0.0, 1.0]
            )

        for wrong, reason in (
            ({"nan": 1.0}, "NaN or infinities"),
            ({"infinity": 1.0}, "NaN or infinities"),
            ({"infinity": float("-inf")}, "NaN or infinities"),
            ({"more": 0.5}, "model.b1.pt2 differs by"),
        ):
            with self.subTest(wrong=wrong):
                self.compiled = lambda x, wrong=wrong: compiled(x, **wrong)
                self.assert_refused(reason, source="NotANumber")
        self.compiled = compiled
        self.assert_made(source="NotANumber")

    def test_a_tolerance_of_0_takes_no_difference(self):
        self.compiled = lambda x: x * 2.00001
        words = ("--input=x=FP32[4]", "--max-batch-size=1", "--tolerance=0")
        self.assert_refused("--tolerance is 0", *words)
        self.assert_made()

    def test_what_the_model_does_not_take_or_return_is_told(self):
        for reason, source, *arguments in (
            ("does not run with x FP32[1,4], y FP32[1]", "Double", "--input=y=FP32[]"),
            ("has the shape [] for a batch of 1", "Sum"),
            ("has the shape [1, 4] for a batch of 2", "SumOfRows", "--max-batch-size=4"),
            ("has 9 dimensions: the server takes up to 8", "Deep"),
            ("has the shape [1, 0]: the server takes none that are empty", "Empty"),
            ("the model returns no tensors", "Nothing"),
        ):
            with self.subTest(source=source):
                self.assert_refused(
                    reason, "--input=x=FP32[4]", "--max-batch-size=1", *arguments, source=source
                )
        self.compiler.assert_not_called()
        self.assertFalse(os.path.exists(self.folder))

    def test_a_device_that_is_not_there_is_told(self):
        with unittest.mock.patch("torch.cuda.is_available", lambda: False):
            self.assert_refused("--device cuda", "--input=x=FP32[4]", "--device=cuda")

    def test_what_cannot_be_compiled_leaves_nothing_behind(self):
        self.compiler.side_effect = RuntimeError("no compiler\nand many more lines")
        folder = os.path.join(self.path, "new", "models", "m")
        self.assert_refused(
            "torch cannot compile the model for a batch of 1: RuntimeError: no compiler", folder=folder
        )
        self.compiler.assert_called_once()
        self.assertFalse(os.path.exists(os.path.join(self.path, "new")))
        self.write("m/notes.txt", "mine")
        self.assert_refused("torch cannot compile the model")
        self.assertEqual(os.listdir(self.folder), ["notes.txt"])

    def test_a_folder_that_cannot_be_made_is_told(self):
        self.assert_refused("cannot be made: Not a directory", folder=self.models + "/m")

    def test_a_config_that_fits_is_kept(self):
        self.write("m/config.pbtxt", OWN_CONFIG)
        out = self.assert_made()
        self.assertIn("config.pbtxt is kept", out)
        self.assertEqual(self.read_config(), OWN_CONFIG)
        out = self.assert_made("--model-version=2", "--replace-config")
        self.assertNotIn("is kept", out)
        self.assertEqual(self.read_config(), DOUBLE_CONFIG)

    def test_a_config_for_fewer_rows_is_kept(self):
        self.write("m/config.pbtxt", OWN_CONFIG)
        self.assert_made("--max-batch-size=8")
        self.assertEqual(self.read_config(), OWN_CONFIG)

    def test_a_config_that_does_not_fit_is_refused_and_kept(self):
        for old, new, reason in (
            ("name: 'm'", "name: 'n'", "its name is 'n'"),
            ('"torch_" "aoti"', '"pytorch_libtorch"', "its platform is 'pytorch_libtorch'"),
            ("batch_size: 1", "batch_size: 2", "its max_batch_size is 2, and the new version's 1"),
            ("batch_size: 1", "batch_size: 0", "its max_batch_size is 0"),
            ('"x"', '"y"', "it has no input x FP32[4]"),
            ("FP32, dims", "FP16, dims", "it has no input x FP32[4]"),
            ("dims: 4", "dims: 5", "it has no input x FP32[4]"),
            ("output:", "output { name: 'b' } output:", "it has the output b INVALID[]"),
            ("kind: KIND_AUTO", "kind { a: 1 }", "its instance groups are {"),
            ("KIND_AUTO", "KIND_GPU", "its instance groups are KIND_GPU"),
            ("parameters", "default_model_filename: 'a.pt2'", "default_model_filename is 'a.pt2'"),
            ("parameters {", "parameters {{", "it cannot be read (line 7)"),
            ("parameters", "a {" * 2000, "too deep"),
            ("'m'", "'m", "it cannot be read (line 2)"),
        ):
            with self.subTest(new=new):
                text = OWN_CONFIG.replace(old, new, 1)
                if old == "parameters":
                    text = OWN_CONFIG.replace("parameters", new + " parameters")
                self.write("m/config.pbtxt", text)
                self.assert_refused(reason)
                self.assert_refused("--replace-config")
                self.assertEqual(self.read_config(), text)
        self.compiler.assert_not_called()

    def test_an_input_order_that_differs_is_refused(self):
        both = '{0} {{ name: "b" data_type: TYPE_FP32 dims: 4 }} {0} {{ name: "a" data_type: TYPE_FP32 dims: 4 }}'
        config = DOUBLE_CONFIG.splitlines()
        config[4] = both.format("output")
        self.write("m/config.pbtxt", "\n".join(config))
        self.compiled = lambda x: (x * 2, x + 1)
        words = ("--input=x=FP32[4]", "--max-batch-size=1", "--outputs=a,b")
        self.assert_refused("its outputs are in the order b FP32[4], a FP32[4]", *words, source="Two")


if __name__ == "__main__":
    harness.main()
