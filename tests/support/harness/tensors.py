"""Requests and replies with numpy arrays."""

import struct

import numpy as np

from harness import protos

_NAMES = {
    np.dtype(np.bool_): "BOOL",
    np.dtype(np.uint8): "UINT8",
    np.dtype(np.uint16): "UINT16",
    np.dtype(np.uint32): "UINT32",
    np.dtype(np.uint64): "UINT64",
    np.dtype(np.int8): "INT8",
    np.dtype(np.int16): "INT16",
    np.dtype(np.int32): "INT32",
    np.dtype(np.int64): "INT64",
    np.dtype(np.float16): "FP16",
    np.dtype(np.float32): "FP32",
    np.dtype(np.float64): "FP64",
}
_TYPES = {name: dtype for dtype, name in _NAMES.items()}


def encode(array):
    """Bytes of an array as raw contents hold them."""
    if array.dtype == object:
        return b"".join(struct.pack("<I", len(item)) + item for item in array.ravel())
    return np.ascontiguousarray(array).tobytes()


def decode(output, raw):
    """Array of an output and its raw contents."""
    if output.datatype == "BYTES":
        items, at = [], 0
        while at < len(raw):
            (length,) = struct.unpack_from("<I", raw, at)
            items.append(raw[at + 4 : at + 4 + length])
            at += 4 + length
        return np.array(items, dtype=object).reshape(output.shape)
    return np.frombuffer(raw, dtype=_TYPES[output.datatype]).reshape(output.shape)


def add_input(inputs, name, array):
    """Appends the description of an array to a message's inputs."""
    datatype = "BYTES" if array.dtype == object else _NAMES[array.dtype]
    inputs.add(name=name, datatype=datatype, shape=array.shape)


def infer_request(model, arrays, version="", outputs=()):
    """A ModelInferRequest with raw contents."""
    request = protos.message("inference.ModelInferRequest")(model_name=model, model_version=version)
    for name, array in arrays.items():
        add_input(request.inputs, name, array)
        request.raw_input_contents.append(encode(array))
    for name in outputs:
        request.outputs.add(name=name)
    return request


def infer_outputs(reply):
    """Arrays of a ModelInferResponse, by name."""
    assert len(reply.outputs) == len(reply.raw_output_contents), reply
    return {o.name: decode(o, raw) for o, raw in zip(reply.outputs, reply.raw_output_contents)}


def predict_request(arrays, cpu=(), gpu=(), any_pool=(), **fields):
    """A PredictRequest; models are names or dictionaries of ModelCall's fields."""
    request = protos.message("tandem.v1.PredictRequest")(**fields)
    for name, array in arrays.items():
        add_input(request.inputs, name, array)
        request.raw_input_contents.append(encode(array))
    calls = [(request.cpu_models, cpu), (request.gpu_models, gpu), (request.models, any_pool)]
    for target, models in calls:
        for model in models:
            target.add(**(model if isinstance(model, dict) else {"name": model}))
    return request


def result_outputs(result, raw):
    """Arrays of one ModelResult, by name. `raw` is raw_output_contents of the message that holds
    it.
    """
    first = result.first_raw_output
    return {o.name: decode(o, raw[first + i]) for i, o in enumerate(result.outputs)}
