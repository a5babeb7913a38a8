#!/usr/bin/env python3
"""Makes the demo's model repository and its data: three models of handwritten digits, trained here on
one half of scikit-learn's digits, and silero-vad's pre-trained speech detection.

usage: make_models.py FOLDER     writes FOLDER/models and FOLDER/data
"""

import importlib.util
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import warnings

import numpy as np
import torch
from scipy.io import wavfile
from scipy.signal import resample_poly
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

from forest import Forest

SAMPLE_RATE = 16000
SENTENCES = ("Two riders on one machine.", "Nobody coasts.", "The light ones leave first.")
PAUSE_SECONDS = 1.2

DIGITS_CONFIG = """\
# Made by examples/demo/make_models.py.
name: "{name}"
platform: "pytorch_libtorch"
max_batch_size: 64
input [ {{ name: "image" data_type: TYPE_FP32 dims: [ 64 ] }} ]
output [ {{ name: "probabilities" data_type: TYPE_FP32 dims: [ 10 ] }} ]
instance_group [ {{ kind: {kind} }} ]
dynamic_batching {{ max_queue_delay_microseconds: 200 }}
"""

SPEECH_CONFIG = """\
# Made by examples/demo/make_models.py. `audio_forward` takes a whole recording; `forward` would keep
# state from one call to the next.
name: "speech"
platform: "pytorch_libtorch"
max_batch_size: 0
input [
  { name: "x" data_type: TYPE_FP32 dims: [ -1, -1 ] },
  { name: "sr" data_type: TYPE_INT64 dims: [ 1 ] }
]
output [ { name: "probabilities" data_type: TYPE_FP32 dims: [ -1, -1 ] } ]
instance_group [ { kind: KIND_CPU } ]
parameters { key: "method" value: { string_value: "audio_forward" } }
"""


class Linear(torch.nn.Module):
    """scikit-learn's logistic regression."""

    def __init__(self, regression):
        super().__init__()
        self.register_buffer("weight", torch.from_numpy(regression.coef_).float())
        self.register_buffer("bias", torch.from_numpy(regression.intercept_).float())

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return torch.softmax(torch.nn.functional.linear(image, self.weight, self.bias), dim=1)


class ConvNet(torch.nn.Module):
    """A small convolutional net over the 8x8 image."""

    def __init__(self):
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Conv2d(1, 32, 3, padding=1),
            torch.nn.ReLU(),
            torch.nn.Conv2d(32, 64, 3, padding=1),
            torch.nn.ReLU(),
            torch.nn.MaxPool2d(2),
            torch.nn.Flatten(),
            torch.nn.Dropout(0.3),
            torch.nn.Linear(64 * 16, 10),
        )

    def scores(self, image: torch.Tensor) -> torch.Tensor:
        return self.layers(image.view(-1, 1, 8, 8) / 16.0)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return torch.softmax(self.scores(image), dim=1)


def train_conv_net(images, labels, epochs=40, batch=64):
    torch.manual_seed(0)
    net = ConvNet()
    optimizer = torch.optim.Adam(net.parameters(), lr=2e-3)
    for _ in range(epochs):
        for members in torch.randperm(len(images)).split(batch):
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(net.scores(images[members]), labels[members])
            loss.backward()
            optimizer.step()
    return net.eval()


def save_model(models, name, module, config):
    folder = models / name / "1"
    folder.mkdir(parents=True)
    (models / name / "config.pbtxt").write_text(config)
    torch.jit.script(module).save(str(folder / "model.pt"))


def require_parity(name, module, estimator, images):
    """The TorchScript model must say what scikit-learn's says, row by row."""
    with torch.inference_mode():
        actual = torch.jit.script(module)(torch.from_numpy(images)).numpy()
    difference = float(np.abs(actual - estimator.predict_proba(images)).max())
    if difference > 1e-5:
        sys.exit(f"make_models: {name} differs from scikit-learn by {difference}")
    print(f"  {name}: as scikit-learn on {len(images)} images, largest difference {difference:.1e}")


def make_digits(models, data):
    digits = load_digits()
    images = digits.data.astype(np.float32)
    train, held_out, train_labels, held_out_labels = train_test_split(
        images, digits.target, test_size=0.5, random_state=0, stratify=digits.target
    )
    forest = RandomForestClassifier(n_estimators=100, random_state=0).fit(train, train_labels)
    linear = LogisticRegression(max_iter=5000).fit(train, train_labels)
    modules = {
        "digits_forest": (Forest(forest).eval(), "KIND_CPU"),
        "digits_linear": (Linear(linear).eval(), "KIND_CPU"),
        "digits_conv": (
            train_conv_net(torch.from_numpy(train), torch.from_numpy(train_labels)),
            "KIND_GPU",
        ),
    }
    require_parity("digits_forest", modules["digits_forest"][0], forest, held_out)
    require_parity("digits_linear", modules["digits_linear"][0], linear, held_out)
    for name, (module, kind) in modules.items():
        save_model(models, name, module, DIGITS_CONFIG.format(name=name, kind=kind))
    np.save(data / "digits.npy", held_out)
    np.save(data / "digit.npy", held_out[:1])
    np.save(data / "labels.npy", held_out_labels.astype(np.int64))


def speak(sentence):
    """The sentence as espeak-ng says it: mono, 16 kHz, within -1..1."""
    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        subprocess.run(["espeak-ng", "-s", "150", "-w", file.name, sentence], check=True)
        rate, samples = wavfile.read(file.name)
    speech = resample_poly(samples.astype(np.float64) / 32768.0, SAMPLE_RATE, rate)
    loud = np.flatnonzero(np.abs(speech) > 0.01)
    return speech[loud[0] : loud[-1] + 1].astype(np.float32)


def make_speech(models, data):
    # Only the model's file: the package itself would want an audio library too.
    package = pathlib.Path(importlib.util.find_spec("silero_vad").submodule_search_locations[0])
    folder = models / "speech" / "1"
    folder.mkdir(parents=True)
    shutil.copyfile(package / "data" / "silero_vad.jit", folder / "model.pt")
    (models / "speech" / "config.pbtxt").write_text(SPEECH_CONFIG)

    pause = np.zeros(int(PAUSE_SECONDS * SAMPLE_RATE), np.float32)
    parts, spans, position = [pause], [], len(pause)
    for sentence in SENTENCES:
        speech = speak(sentence)
        spans.append({"text": sentence, "start": position, "end": position + len(speech)})
        parts += [speech, pause]
        position += len(speech) + len(pause)
    recording = np.concatenate(parts)
    np.save(data / "speech.npy", recording[np.newaxis, :])
    wavfile.write(data / "speech.wav", SAMPLE_RATE, (recording * 32767).astype(np.int16))
    (data / "speech.json").write_text(json.dumps({"sample_rate": SAMPLE_RATE, "spans": spans}))
    print(f"  speech: {len(recording) / SAMPLE_RATE:.1f} s of espeak-ng, {len(SENTENCES)} sentences")


def main():
    # torch.jit announces its end of life with each call; the format is what is served here.
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    folder = pathlib.Path(sys.argv[1])
    models, data = folder / "models", folder / "data"
    models.mkdir(parents=True)
    data.mkdir()
    make_digits(models, data)
    make_speech(models, data)


if __name__ == "__main__":
    main()
