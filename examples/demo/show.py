#!/usr/bin/env python3
"""Prints what the demo's models said, beside what is true.

usage: show.py digit|accuracy|speech DEMO_FOLDER [FILE]
"""

import json
import pathlib
import sys

import numpy as np

SHADES = " .:-=+*#%@"
SPEECH_THRESHOLD = 0.5
# silero-vad looks at pieces of this many samples, at 16 kHz.
CHUNK = 512


def show_digit(data, _):
    """The first held-out image, in characters."""
    image = np.load(data / "digit.npy")[0].reshape(8, 8)
    for row in image:
        print("  " + "".join(SHADES[int(value * (len(SHADES) - 1) / 16)] * 2 for value in row))
    print(f"  labelled {np.load(data / 'labels.npy')[0]}\n")


def show_accuracy(data, file):
    """Share of the held-out images that each model, and their vote, got right."""
    labels = np.load(data / "labels.npy")
    predictions = np.load(file)
    print(f"\nright on {len(labels)} images that no model was trained on:")
    for name in predictions.files:
        values = predictions[name]
        if name == "row_ok":
            continue
        answers = values.argmax(axis=-1) if values.ndim > 1 and values.shape[-1] == 10 else values
        right = float((answers.reshape(-1) == labels).mean())
        title = name.removesuffix(".probabilities") if "." in name else "majority vote"
        print(f"  {title:<16} {right:7.2%}")


def spans_of(probabilities):
    """(start, end) in seconds of each stretch of speech; pauses of under 0.3 s do not end one."""
    spans = []
    for index in np.flatnonzero(probabilities > SPEECH_THRESHOLD):
        start, end = index * CHUNK / 16000, (index + 1) * CHUNK / 16000
        if spans and start - spans[-1][1] < 0.3:
            spans[-1][1] = end
        else:
            spans.append([start, end])
    return spans


def show_speech(data, file):
    """The stretches of speech that the model hears, beside the sentences that were spoken."""
    reply = json.loads(pathlib.Path(file).read_text())
    probabilities = np.array(reply["outputs"]["probabilities"]["data"], np.float64).reshape(-1)
    speech = json.loads((data / "speech.json").read_text())
    rate = speech["sample_rate"]
    print(f"{data / 'speech.wav'}: {len(probabilities) * CHUNK / rate:.1f} s")
    print("  spoken                                      heard")
    heard = spans_of(probabilities)
    for index, span in enumerate(speech["spans"]):
        spoken = f"{span['start'] / rate:5.2f} – {span['end'] / rate:5.2f} s  {span['text']}"
        there = f"{heard[index][0]:5.2f} – {heard[index][1]:5.2f} s" if index < len(heard) else "nothing"
        print(f"  {spoken:<44}{there}")


def main():
    word, data = sys.argv[1], pathlib.Path(sys.argv[2], "data")
    file = sys.argv[3] if len(sys.argv) > 3 else None
    {"digit": show_digit, "accuracy": show_accuracy, "speech": show_speech}[word](data, file)


if __name__ == "__main__":
    main()
