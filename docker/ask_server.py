#!/usr/bin/env python3
"""Asks a server for one digit of the demo's data, as any client of the protocol would, and checks the
answer.

usage: ask_server.py HOST:PORT DEMO_FOLDER
"""

import pathlib
import sys

import numpy as np
import tritonclient.grpc as grpc


def main():
    address, data = sys.argv[1], pathlib.Path(sys.argv[2], "data")
    image, label = np.load(data / "digits.npy")[:1], int(np.load(data / "labels.npy")[0])
    client = grpc.InferenceServerClient(address)
    tensor = grpc.InferInput("image", image.shape, "FP32")
    tensor.set_data_from_numpy(image)
    scores = client.infer("digits_forest", [tensor], client_timeout=10).as_numpy("probabilities")
    digit = int(scores.argmax())
    print(f"digits_forest says {digit}, the label is {label}")
    sys.exit(digit != label)


if __name__ == "__main__":
    main()
