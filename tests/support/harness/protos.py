"""Tandem's protocols in Python, read from the .proto files when a test runs, so that no generated
code has to fit the installed version of Protobuf.
"""

import functools
import os
import subprocess
import tempfile

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from harness import source_path

_FILES = ["inference.proto", "tandem.proto", "server_config.proto", "google_rpc.proto"]


def _health_file():
    """grpc.health.v1, which the system does not install as a file."""
    file = descriptor_pb2.FileDescriptorProto(
        name="health.proto", package="grpc.health.v1", syntax="proto3"
    )
    request = file.message_type.add(name="HealthCheckRequest")
    request.field.add(name="service", number=1, type=9, label=1)
    response = file.message_type.add(name="HealthCheckResponse")
    status = response.enum_type.add(name="ServingStatus")
    for number, name in enumerate(["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"]):
        status.value.add(name=name, number=number)
    response.field.add(
        name="status",
        number=1,
        type=14,
        label=1,
        type_name=".grpc.health.v1.HealthCheckResponse.ServingStatus",
    )
    service = file.service.add(name="Health")
    for name, streams in [("Check", False), ("Watch", True)]:
        service.method.add(
            name=name,
            input_type=".grpc.health.v1.HealthCheckRequest",
            output_type=".grpc.health.v1.HealthCheckResponse",
            server_streaming=streams,
        )
    return file


@functools.cache
def _pool():
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "descriptors")
        subprocess.run(
            [
                os.environ.get("TANDEM_PROTOC", "protoc"),
                "--include_imports",
                "--descriptor_set_out=" + out,
                "-I" + source_path("proto"),
                *_FILES,
            ],
            check=True,
        )
        with open(out, "rb") as file:
            files = descriptor_pb2.FileDescriptorSet.FromString(file.read())
    pool = descriptor_pool.DescriptorPool()
    for file in [*files.file, _health_file()]:
        pool.Add(file)
    return pool


@functools.cache
def message(name):
    """Class of a message, by its full name."""
    return message_factory.GetMessageClass(_pool().FindMessageTypeByName(name))


def enum_value(enum, name):
    """Number of an enumeration's value."""
    return _pool().FindEnumTypeByName(enum).values_by_name[name].number


class Service:
    """Client of a service: Service(channel, "tandem.v1.PredictionService").Predict(request)."""

    def __init__(self, channel, name):
        for method in _pool().FindServiceByName(name).methods:
            reply = message_factory.GetMessageClass(method.output_type)
            kind = {
                (False, False): channel.unary_unary,
                (False, True): channel.unary_stream,
                (True, True): channel.stream_stream,
            }[(method.client_streaming, method.server_streaming)]
            call = kind(
                f"/{name}/{method.name}",
                request_serializer=lambda request: request.SerializeToString(),
                response_deserializer=reply.FromString,
            )
            setattr(self, method.name, call)


def infer_service(channel):
    return Service(channel, "inference.GRPCInferenceService")


def prediction_service(channel):
    return Service(channel, "tandem.v1.PredictionService")


def health_service(channel):
    return Service(channel, "grpc.health.v1.Health")
