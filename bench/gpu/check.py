"""Runs the GPU tests and measures CPU pool and GPU pool, alone and together; writes one report.

Started by gpu_check.sh with the programs of a bundle, or of a build. Needs Python's torch, whose
libraries the programs run on, and nothing else.

usage: check.py --programs DIR --environment FILE --out DIR [--fake-device] [--quick]
  --environment: NAME=VALUE lines that the programs run with
  --fake-device: a CPU worker in place of the GPU's; the figures are then not judged
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile

import report as reports
from served import Cores, Server, level_of

SKIPPED = 77
LOADS = (0.25, 0.5, 0.75, 0.9)
BATCH = 32
# Requests that keep both lanes of the GPU pool busy with batches of that size.
GPU_CALLS = 8
GPU_SET = {"resnet50": BATCH, "transformer": BATCH}
CPU_SET = {"cpu_net": 1, "cpu_light": 1}
SHAPES = {
    "full": {"resnet50": "32,3,224,224", "transformer": "32,128,768"},
    "small": {"resnet50": "32,3,32,32", "transformer": "32,8,32"},
}


class Check:
    def __init__(self, arguments, report, folder):
        self.programs = arguments.programs
        self.environment = read_environment(arguments.environment)
        self.fake = arguments.fake_device
        self.size = "small" if self.fake else "full"
        self.rounds = 1 if arguments.quick else 3
        self.seconds = 0.4 if arguments.quick else 4
        self.report = report
        self.models = os.path.join(folder, "models")
        self.folder = folder
        self.cores = Cores()
        self.server = None

    def run_tests(self):
        done = subprocess.run(
            [os.path.join(self.programs, "tandem_gpu_test")],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        text = done.stdout.decode(errors="replace")
        if done.returncode == SKIPPED:
            lines = [line for line in text.splitlines() if line.startswith("skipped")]
            self.report.test("tandem_gpu_test", f"not run: {lines[0] if lines else 'skipped'}")
            return
        if done.returncode != 0:
            print(text, flush=True)
        result = "passed" if done.returncode == 0 else f"failed with {done.returncode}"
        self.report.test("tandem_gpu_test", f"{result}: {text.strip().splitlines()[-1]}")

    def make_models(self):
        here = os.path.dirname(os.path.abspath(__file__))
        subprocess.run(
            [sys.executable, "-B", os.path.join(here, "models.py"), self.models, self.size],
            check=True,
        )

    def measure(self):
        self.make_models()
        with Server(
            self.programs, self.environment, self.models, self.folder, self.cores
        ) as self.server:
            self.against_the_bare_loop()
            self.graphs()
            self.together()
            self.placement()
            for note in self.server.notes():
                self.report.remark(note)

    def bare_loop(self, model, autocast):
        """Rows a second of as many loops as the GPU pool has lanes."""
        program = "bench-libtorch-loop" if self.fake else "bench-libtorch-loop-cuda"
        shapes = SHAPES[self.size]
        command = [
            os.path.join(self.programs, program),
            f"--model={self.models}/{model}/1/model.pt",
            f"--input-shape={shapes[model]}",
            f"--device={'cpu' if self.fake else 'cuda'}",
            f"--autocast={autocast}",
            "--optimize=freeze",
            "--profiling=false",
            "--loops=2",
        ]
        # On a machine that is busy otherwise, not one run may end within a short time.
        for factor in (1, 4, 16):
            seconds = self.seconds * factor
            done = subprocess.run(
                [*command, f"--seconds={seconds}", f"--warm-up={min(2, seconds)}"],
                env=self.environment,
                stdout=subprocess.PIPE,
                check=False,
            )
            if done.returncode == 0:
                break
        done.check_returncode()
        return json.loads(done.stdout)["rows_per_second"]

    def against_the_bare_loop(self):
        for name, model, autocast in (
            ("resnet50", "resnet50", "off"),
            ("resnet50_fp16", "resnet50", "fp16"),
            ("transformer", "transformer", "off"),
        ):
            ratios, rates = [], []
            for _ in range(self.rounds):
                bare = self.bare_loop(model, autocast)
                level = self.server.load(
                    name, self.seconds, f"--concurrency={GPU_CALLS}", f"--batch={BATCH}"
                )
                rates.append(level["calls_per_second"] * BATCH)
                ratios.append(rates[-1] / bare)
            self.report.figure(
                f"{name}, batch {BATCH}, through the server", statistics.median(rates), "rows/s"
            )
            self.report.figure(
                f"{name}, batch {BATCH}: server ÷ bare LibTorch loop",
                statistics.median(ratios),
                at_least=0.97,
            )

    def graphs(self):
        times = {"light_plain": [], "light_graphs": []}
        for _ in range(self.rounds):
            for model, medians in times.items():
                level = self.server.load(model, self.seconds, "--concurrency=1")
                medians.append(level["latency_us"]["p50"])
        for model, medians in times.items():
            self.report.figure(f"{model}, batch 1: p50", statistics.median(medians), "µs", digits=1)

    def saturate(self, *sets):
        """Loads the sets' models, all at the same time; {model: (rows a second, p99 in ms)}."""
        running = {}
        for models in sets:
            calls = GPU_CALLS if models is GPU_SET else 2 * self.server.cpu_lanes
            for model, rows in models.items():
                running[model] = (
                    rows,
                    self.server.start_load(
                        model, self.seconds, f"--concurrency={calls}", f"--batch={rows}"
                    ),
                )
        found = {}
        for model, (rows, bench) in running.items():
            level = level_of(bench)
            found[model] = (level["calls_per_second"] * rows, level["latency_us"]["p99"] / 1e3)
        return found

    def together(self):
        rounds = []
        for _ in range(self.rounds):
            cpu, gpu = self.saturate(CPU_SET), self.saturate(GPU_SET)
            rounds.append((cpu, gpu, self.saturate(CPU_SET, GPU_SET)))

        def middle(value):
            return statistics.median(value(*each) for each in rounds)

        def rate(found, models):
            return sum(found[model][0] for model in models)

        for pool, models in (("CPU", CPU_SET), ("GPU", GPU_SET)):
            self.report.figure(
                f"{pool} model set alone",
                middle(lambda cpu, gpu, _, m=models: rate({**cpu, **gpu}, m)),
                "rows/s",
            )
            self.report.figure(
                f"{pool} model set: throughput beside the other ÷ alone",
                middle(lambda cpu, gpu, both, m=models: rate(both, m) / rate({**cpu, **gpu}, m)),
                at_least=0.95,
            )
            self.report.figure(
                f"{pool} model set: p99 beside the other ÷ alone, the worst model",
                middle(
                    lambda cpu, gpu, both, m=models: max(
                        both[name][1] / {**cpu, **gpu}[name][1] for name in m
                    )
                ),
                at_most=1.05,
            )
        every = [*CPU_SET, *GPU_SET]
        self.report.figure(
            "both sets together ÷ sum of each alone",
            middle(lambda cpu, gpu, both: rate(both, every) / rate({**cpu, **gpu}, every)),
            at_least=0.95,
        )

    def placement(self):
        level = self.server.load("both_gpu", self.seconds, f"--concurrency={GPU_CALLS * 8}")
        full = level["calls_per_second"]
        self.report.figure("a model of both pools, on the GPU alone", full, "calls/s")
        for share in LOADS:
            p99 = {}
            try:
                for model in ("both_auto", "both_gpu"):
                    found = self.server.load(
                        model, self.seconds, f"--rate={share * full:.1f}", "--poisson"
                    )
                    p99[model] = found["latency_us"]["p99"] / 1e3
            except RuntimeError as error:
                # The other loads are of use all the same; a fake device may be too slow for any.
                result = "not measured" if self.fake else "failed"
                self.report.test(f"load {share}", f"{result}: {error}")
                continue
            self.report.figure(
                f"load {share}: p99 of auto ({p99['both_auto']:.2f} ms) ÷ of the GPU alone",
                p99["both_auto"] / p99["both_gpu"],
                at_most=1.05,
            )


def read_environment(path):
    """This process's environment with the file's lines in it."""
    environment = dict(os.environ)
    with open(path, encoding="utf-8") as file:
        for line in file:
            name, _, value = line.rstrip("\n").partition("=")
            environment[name] = value
    return environment


def note_machine(report, check):
    import torch

    gpu = torch.cuda.get_device_name(0) if torch.cuda.is_available() else None
    version = subprocess.run(
        [os.path.join(check.programs, "tandem"), "version"],
        env=check.environment,
        stdout=subprocess.PIPE,
        check=False,
    ).stdout
    fake = "fake: a CPU worker in the GPU worker's place"
    report.fact("device", fake if check.fake else gpu or "none")
    report.fact("torch", f"{torch.__version__}, CUDA {torch.version.cuda}")
    report.fact("Tandem", " ".join(version.decode().split()))
    report.fact("cores", len(check.cores.all))
    report.fact("cores are split", "yes" if check.cores.split else "no, all share all")
    return gpu


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--programs", required=True)
    parser.add_argument("--environment", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--fake-device", action="store_true")
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    report = reports.Report(judged=not arguments.fake_device)
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="tandem-gpu-check-"))
        check = Check(arguments, report, folder)
        gpu = note_machine(report, check)
        check.run_tests()
        if gpu is None and not check.fake:
            report.remark("No GPU is visible: nothing was measured.")
            report.figure("batch 32: server ÷ bare LibTorch loop", None, at_least=0.97)
            report.figure("both sets together ÷ sum of each alone", None, at_least=0.95)
            report.figure("model sets: p99 beside the other ÷ alone", None, at_most=1.05)
            report.figure("p99 of auto ÷ of the GPU alone", None, at_most=1.05)
            report.write(arguments.out)
            return SKIPPED
        if check.fake:
            report.remark("No real device: these figures show that the check runs, and nothing else.")
        try:
            check.measure()
        except Exception as error:  # A report that ends early is better than none.
            report.test("measurements", f"failed: {error}")
        report.write(arguments.out)
    return 0 if report.is_good() else 1


if __name__ == "__main__":
    sys.exit(main())
