#!/usr/bin/env python3
"""Tandem from Python: one model alone, then all of them in one request with one merged reply.

ModelInfer goes by `tritonclient`, unchanged. Predict is Tandem's own: its messages are made here of
the protocol's description, which protoc writes, so that no generated code has to fit the installed
version of Protobuf.

    pip install tritonclient[grpc]
    protoc --include_imports --descriptor_set_out=tandem.desc -I proto tandem.proto
    examples/client/client.py 127.0.0.1:8001 tandem.desc '[[1, 2, 3, 4]]' digits_forest digits_conv

The input is JSON, with the batch dimension; every model has one input and takes FP32.
"""

import argparse
import json

import grpc
import numpy as np
import tritonclient.grpc as triton
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from tritonclient.utils import triton_to_np_dtype


def load_messages(path):
    """A function that gives the class of a message by its full name. The pool is one of its own:
    tritonclient has filled the default one with messages of the same names.
    """
    pool = descriptor_pool.DescriptorPool()
    with open(path, "rb") as file:
        for described in descriptor_pb2.FileDescriptorSet.FromString(file.read()).file:
            pool.Add(described)
    return lambda name: message_factory.GetMessageClass(pool.FindMessageTypeByName(name))


def as_array(tensor, raw):
    return np.frombuffer(raw, triton_to_np_dtype(tensor.datatype)).reshape(tensor.shape)


def infer_one(address, model, values):
    """ModelInfer; the name of the model's input is asked of the server."""
    with triton.InferenceServerClient(address) as client:
        wanted = client.get_model_metadata(model).inputs[0].name
        tensor = triton.InferInput(wanted, values.shape, "FP32")
        tensor.set_data_from_numpy(values)
        reply = client.infer(model, [tensor], client_timeout=5)
        for output in reply.get_response().outputs:
            print(f"alone: {model} {output.name} {reply.as_numpy(output.name).tolist()}")


def predict_all(address, messages, models, values):
    """Predict; each model runs where it ends first, and the mean of their first outputs comes with
    the reply.
    """
    request_type = messages("tandem.v1.PredictRequest")
    request = request_type(merge_policy="MERGE_POLICY_PARTIAL")
    # A model with one input takes the request's only tensor, whatever its name.
    request.inputs.add(name="input", datatype="FP32", shape=values.shape)
    request.raw_input_contents.append(values.tobytes())
    for name in models:
        request.models.add(name=name)
    request.combine.method = request.combine.METHOD_MEAN

    with grpc.insecure_channel(address) as channel:
        predict = channel.unary_unary(
            "/tandem.v1.PredictionService/Predict",
            request_serializer=request_type.SerializeToString,
            response_deserializer=messages("tandem.v1.PredictResponse").FromString,
        )
        reply = predict(request, timeout=5)
    for result in reply.results:
        for index, output in enumerate(result.outputs, start=result.first_raw_output):
            numbers = as_array(output, reply.raw_output_contents[index])
            print(f"{result.key} on {result.placement.worker}: {output.name} {numbers.tolist()}")
        if result.status_code != 0:
            print(f"{result.key}: {result.status_message}")
    if reply.HasField("combined"):
        numbers = as_array(reply.combined, reply.raw_output_contents[reply.combined_raw_output])
        print(f"together: {reply.combined.name} {numbers.tolist()}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("address", help="host:port of the server's gRPC")
    parser.add_argument("description", help="the protocol, as protoc's --descriptor_set_out")
    parser.add_argument("input", help="JSON, with the batch dimension")
    parser.add_argument("models", nargs="+", metavar="model")
    arguments = parser.parse_args()
    values = np.array(json.loads(arguments.input), dtype=np.float32)
    try:
        infer_one(arguments.address, arguments.models[0], values)
        messages = load_messages(arguments.description)
        predict_all(arguments.address, messages, arguments.models, values)
    except triton.InferenceServerException as error:
        raise SystemExit(f"{error.status()}: {error.message()}") from None
    except grpc.RpcError as error:
        raise SystemExit(f"{error.code().name}: {error.details()}") from None


if __name__ == "__main__":
    main()
