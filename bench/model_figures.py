"""Figures of real models and of large tensors; parts of figures.py."""

import concurrent.futures
import os
import statistics
import time

import numpy as np

from harness.processes import cpu_seconds, resident_bytes
from harness.repository import Repository, config
from harness.server import Server
from harness.tensors import infer_request, predict_request
from measure import (
    CORES, MIB, ROUNDS, SECONDS, beside, echo_server, libtorch_loop, load, load_command, medians, pool,
    ratio_of_rates, show,
)

LARGE = {"602 kB": 150_528, "5 MB": 1_310_720}
PREDICTED = 8


def large(_models):
    """Tensors whose transport is the limit."""
    with Repository() as repository:
        for count in LARGE.values():
            tensors = ([name, "TYPE_FP32", [count]] for name in ("INPUT0", "OUTPUT0"))
            one, other = ((entry,) for entry in tensors)
            repository.synthetic(f"echo_{count}", inputs=one, outputs=other)
        with Server(repository.path, flags=pool(1)) as server:
            for name, count in LARGE.items():
                reports = {"bare": [], "Tandem": []}
                with echo_server(f"--elements={count}") as bare:
                    for _ in range(ROUNDS):
                        reports["bare"].append(load(bare, f"echo_{count}", 4))
                        reports["Tandem"].append(load(server.address, f"echo_{count}", 4))
                for who, rounds in reports.items():
                    rate, p50, p99 = medians(rounds)
                    show(f"echo of {name}, 4 clients, {who}: p50 {p50:.2f} ms, p99 {p99:.2f} ms",
                         f"{rate:.0f} /s")
                ratio = ratio_of_rates(reports["Tandem"], reports["bare"])
                show(f"echo of {name}: Tandem ÷ bare", f"{ratio:.3f}", "at least 0.85", ratio >= 0.85)


def small(models):
    """A net that computes for some microseconds."""
    with echo_server("--elements=64") as bare, Server(models, worker=None, flags=pool(CORES)) as server:
        for clients, limit in ((1, 0.13), (16, 0.80), (32, 0.90)):
            reports = {"bare gRPC": [], "Tandem": []}
            for _ in range(ROUNDS):
                reports["bare gRPC"].append(load(bare, "small", clients))
                reports["Tandem"].append(load(server.address, "small", clients))
            name = f"net of 64 → 128 → 10, {clients} client(s)"
            for who, rounds in reports.items():
                rate, p50, p99 = medians(rounds)
                show(f"{name}, {who}: p50 {p50:.3f} ms, p99 {p99:.3f} ms", f"{rate:.0f} /s")
            if clients == 1:
                _, p50, _ = medians(reports["Tandem"])
                show(f"{name}: p50", f"{p50:.3f} ms", f"at most {limit}", p50 <= limit)
                continue
            ratio = ratio_of_rates(reports["Tandem"], reports["bare gRPC"])
            show(f"{name}: Tandem ÷ bare", f"{ratio:.3f}", f"at least {limit}", ratio >= limit)
        joined, alone = [], []
        for _ in range(ROUNDS):
            joined.append(load(server.address, "small", 64))
            alone.append(load(server.address, "small_alone", 64))
        ratio = ratio_of_rates(joined, alone)
        show("net of 64 → 128 → 10, 64 clients: with batching ÷ without", f"{ratio:.3f}",
             "at least 1.3", ratio >= 1.3)


def express(models):
    """A light model beside a heavy one that has all lanes."""
    with Server(models, worker=None, flags=pool(CORES)) as server:
        quiet, busy, heavy_alone, heavy = [], [], [], []
        for _ in range(ROUNDS):
            quiet.append(load(server.address, "small", 1))
            heavy_alone.append(load(server.address, "resnet18", 4))
            with beside(load_command(server.address, "resnet18", 4, 2 * SECONDS + 10), 1.5):
                busy.append(load(server.address, "small", 1))
            with beside(load_command(server.address, "small", 1, 2 * SECONDS + 10), 1.5):
                heavy.append(load(server.address, "resnet18", 4))
    _, p50, p99 = medians(quiet)
    show(f"net of 64 → 128 → 10, 1 client, alone: p50 {p50:.3f} ms", f"{p99:.3f} ms", "p99")
    _, p50, p99 = medians(busy)
    show(f"the same while resnet18 has all lanes (4 clients): p50 {p50:.3f} ms", f"{p99:.3f} ms",
         "p99, at most 0.6", p99 <= 0.6)
    ratio = ratio_of_rates(heavy, heavy_alone)
    show("resnet18 with that client ÷ without", f"{ratio:.3f}")


def compiled(models):
    """What AOTInductor compiled, against a bare loop over the same file."""
    for name, limit in (("resnet18", 0.97), ("resnet18_compiled", 0.97), ("resnet18_bf16", 0.97)):
        version = os.path.join(models, name, "1")
        if not os.path.isdir(version):
            show(f"{name}, 8 clients", "not measured", "the model was not made")
            continue
        file = next(os.path.join(version, f) for f in ("model.b1.pt2", "model.pt") if
                    os.path.exists(os.path.join(version, f)))
        with Server(models, worker=None, flags=pool(CORES)) as server:
            bare, reports = [], []
            for _ in range(ROUNDS):
                bare.append(libtorch_loop(file, CORES))
                reports.append(load(server.address, name, 8))
        rate, p50, p99 = medians(reports)
        show(f"{name}, 8 clients: p50 {p50:.1f} ms, p99 {p99:.1f} ms", f"{rate:.1f} /s")
        show(f"{name}: bare loop, {CORES} loops", f"{statistics.median(bare):.1f} /s")
        ratio = statistics.median(r["calls_per_second"] / b for r, b in zip(reports, bare))
        show(f"{name}: through the server ÷ bare", f"{ratio:.3f}", f"at least {limit}", ratio >= limit)


def predict(models):
    """One request to eight models of unequal size at once."""
    with open(os.path.join(models, "resnet18", "1", "model.pt"), "rb") as file:
        net = file.read()
    with Repository() as repository:
        # The same net on images of more and more pixels.
        images = {f"net_{i}": np.zeros((1, 3, 32 + 16 * i, 32 + 16 * i), np.float32)
                  for i in range(PREDICTED)}
        for name, image in images.items():
            repository.add(name, config(name, "pytorch_libtorch", max_batch_size=1,
                                        inputs=(("INPUT0", "TYPE_FP32", image.shape[1:]),),
                                        outputs=(("OUTPUT0", "TYPE_FP32", [1000]),)))
            repository.write(os.path.join(name, "1", "model.pt"), net)
        calls = [
            {"name": name, "inputs": single.inputs, "raw_input_contents": single.raw_input_contents}
            for name, image in images.items()
            if (single := infer_request(name, {"INPUT0": image}))
        ]
        request = predict_request({}, any_pool=calls)
        with Server(repository.path, worker=None, flags=pool(CORES)) as server:
            def time_of(call):
                begin = time.monotonic()
                call()
                return time.monotonic() - begin

            alone = {
                name: statistics.median(
                    time_of(lambda: server.infer.ModelInfer(infer_request(name, {"INPUT0": image})))
                    for _ in range(4 * ROUNDS))
                for name, image in images.items()
            }
            longest_first = sorted(alone, key=alone.get, reverse=True)

            def one_by_one():
                """The same work without Predict: as many clients as lanes, each with the next net."""
                with concurrent.futures.ThreadPoolExecutor(CORES) as clients:
                    list(clients.map(
                        lambda name: server.infer.ModelInfer(
                            infer_request(name, {"INPUT0": images[name]})),
                        longest_first))

            by_hand, took = [], []
            for _ in range(4 * ROUNDS):
                by_hand.append(time_of(one_by_one))
                took.append(time_of(lambda: server.prediction.Predict(request)))
    took, by_hand = statistics.median(took), statistics.median(by_hand)
    bound = max(max(alone.values()), sum(alone.values()) / CORES)
    show(f"Predict of {PREDICTED} models, slowest alone {max(alone.values()) * 1e3:.1f} ms, "
         f"work ÷ cores {sum(alone.values()) / CORES * 1e3:.1f} ms", f"{took * 1e3:.1f} ms")
    show("Predict of 8 models ÷ the larger of these", f"{took / bound:.3f}", "at most 1.25",
         took / bound <= 1.25)
    show(f"the same by {CORES} clients of ModelInfer, longest first ÷ the larger",
         f"{by_hand / bound:.3f}", "what the nets do to each other")


def growth(models):
    """What 100,000 requests cost the server, and whether they leave something behind."""
    with Server(models, flags=pool(1)) as server:
        pid, done = server.process.pid, 0
        while done < 20_000:
            done += load(server.address, "echo", 16)["calls"]
        before, spent, done = resident_bytes(pid), cpu_seconds(pid), 0
        while done < 100_000:
            done += load(server.address, "echo", 16)["calls"]
        grown = (resident_bytes(pid) - before) / MIB
        spent = (cpu_seconds(pid) - spent) / done * 1e6
    show(f"memory of the server after {done:,} requests more", f"{grown:+.2f} MiB", "at most +1",
         grown <= 1)
    show("CPU of the server for each request, 16 clients", f"{spent:.1f} µs")


PARTS = (large, small, express, compiled, predict, growth)
