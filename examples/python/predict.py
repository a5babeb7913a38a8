#!/usr/bin/env python3
"""One request, models on both pools, one merged reply: Tandem's Predict from Python.

Needs grpcio, protobuf and numpy, and the messages that protoc makes of the project's protocol files:

    protoc --python_out=. -I proto inference.proto tandem.proto model_config.proto
    python3 examples/python/predict.py localhost:8001 image.npy --cpu digits_forest --gpu digits_conv
"""

import argparse

import grpc
import numpy as np
import tandem_pb2 as tandem

NUMPY_TYPES = {"FP32": np.float32, "FP64": np.float64, "INT64": np.int64, "INT32": np.int32}


def as_array(tensor, raw):
    return np.frombuffer(raw, NUMPY_TYPES[tensor.datatype]).reshape(tensor.shape)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("address", help="host:port of the server's gRPC")
    parser.add_argument("input", help=".npy file of FP32, with a batch dimension")
    parser.add_argument("--cpu", nargs="*", default=[], help="models for a CPU pool")
    parser.add_argument("--gpu", nargs="*", default=[], help="models for a GPU pool")
    arguments = parser.parse_args()
    values = np.load(arguments.input).astype(np.float32)

    request = tandem.PredictRequest(timeout_us=2_000_000)
    # A model with one input takes the request's only tensor, whatever its name.
    request.inputs.add(name="input", datatype="FP32", shape=values.shape)
    request.raw_input_contents.append(values.tobytes())
    for name in arguments.cpu:
        request.cpu_models.add(name=name)
    for name in arguments.gpu:
        request.gpu_models.add(name=name)
    request.combine.method = tandem.Combine.METHOD_MAJORITY_VOTE

    with grpc.insecure_channel(arguments.address) as channel:
        predict = channel.unary_unary(
            "/tandem.v1.PredictionService/Predict",
            request_serializer=tandem.PredictRequest.SerializeToString,
            response_deserializer=tandem.PredictResponse.FromString,
        )
        try:
            reply = predict(request, timeout=5)
        except grpc.RpcError as error:
            raise SystemExit(f"{error.code().name}: {error.details()}") from None

    for result in reply.results:
        scores = as_array(result.outputs[0], reply.raw_output_contents[result.first_raw_output])
        where = result.placement
        print(f"{result.key}: {scores.argmax(axis=-1)} on {where.worker} in {where.compute_us:.0f} µs")
    combined = reply.raw_output_contents[reply.combined_raw_output]
    print(f"together: {as_array(reply.combined, combined)} in {reply.total_us:.0f} µs")


if __name__ == "__main__":
    main()
