"""The only door to protobuf and grpcio's packages: what a method takes, and a message as bytes.

They are an extra (`pip install 'zdtest[grpc]'`), imported when a run makes gRPC calls. No channel of grpcio is opened:
what is asked of the server goes over the load's own connections, with the load's TLS.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

try:
    from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory
    from google.protobuf.message import DecodeError
    from grpc_health.v1 import health_pb2
    from grpc_reflection.v1alpha import reflection_pb2
    from grpc_tools import protoc
except ImportError:
    MISSING = "gRPC calls need grpcio and protobuf: pip install 'zdtest[grpc]'"
else:
    MISSING = ""

_PROTOC_S = 60
_SHOWN = 8  # names that an error lists


@dataclass(frozen=True, slots=True)
class Method:
    """A method that can be called, and the message that it takes."""

    name: str  # package.Service/Method
    streaming: bool  # the server's answer is a stream of messages
    takes: Any  # a descriptor


def check_extra() -> None:
    """Raise UsageError where the extra is not installed."""
    if MISSING:
        raise UsageError(MISSING)


class Schema:
    """The files that define services and messages."""

    def __init__(self) -> None:
        self._pool: Any = descriptor_pool.DescriptorPool()
        self._known: set[str] = set()

    def has(self, file: str) -> bool:
        """Return whether a file has been added."""
        return file in self._known

    def add(self, content: bytes) -> None:
        """Add a file, as a FileDescriptorProto, after those that it imports. Raises UsageError."""
        try:
            parsed = descriptor_pb2.FileDescriptorProto.FromString(content)
            if parsed.name not in self._known:
                self._pool.AddSerializedFile(content)
                self._known.add(parsed.name)
        except (DecodeError, TypeError, ValueError) as error:
            raise UsageError(f"a definition of messages cannot be used: {_line(error)}") from None

    def method(self, service: str, name: str, where: str) -> Method:
        """Find a method. Raises UsageError if there is none, or if a call of it is more than one message.

        `where`: what defines it, for the error.
        """
        try:
            found = self._pool.FindServiceByName(service)
        except KeyError:
            there = self._services()
            hint = f"; there is {_listed(there)}" if there else ""
            raise UsageError(f"{where} has no service {service}{hint}") from None
        method = found.methods_by_name.get(name)
        if method is None:
            hint = f"; there is {_listed(found.methods_by_name)}" if found.methods_by_name else ""
            raise UsageError(f"{where}: the service {service} has no method {name}{hint}")
        if method.client_streaming:
            both = "bidirectional-streaming" if method.server_streaming else "client-streaming"
            raise UsageError(
                f"{service}/{name} is {both}: only unary and server-streaming methods can be called, of which a request"
                " is one message"
            )
        return Method(f"{service}/{name}", bool(method.server_streaming), method.input_type)

    def _services(self) -> list[str]:
        files = (self._pool.FindFileByName(name) for name in sorted(self._known))
        return [each.full_name for file in files for each in file.services_by_name.values()]


def imports(content: bytes) -> tuple[str, list[str]]:
    """Return the name of a file, given as a FileDescriptorProto, and what it imports. Raises UsageError."""
    try:
        parsed = descriptor_pb2.FileDescriptorProto.FromString(content)
    except DecodeError as error:
        raise UsageError(f"a definition of messages cannot be used: {_line(error)}") from None
    return parsed.name, list(parsed.dependency)


def builtin(file: str) -> bytes | None:
    """Return one of the files that come with protobuf, as a FileDescriptorProto; None if it is not one of them."""
    try:
        found: bytes = descriptor_pool.Default().FindFileByName(file).serialized_pb
    except KeyError:
        return None
    return found


def compiled(proto: Path, paths: Sequence[Path]) -> Schema:
    """Read a .proto file and what it imports, by the protocol compiler. Raises UsageError with its first complaint."""
    if not proto.is_file():
        raise UsageError(f"no such file: {proto}; give a .proto file with --proto, or --reflection")
    wellknown = Path(protoc.__file__).parent / "_proto"
    folders = [*paths, proto.parent, wellknown]
    with tempfile.TemporaryDirectory(prefix="zdtest-proto-") as folder:
        out = Path(folder) / "set"
        command = [sys.executable, "-m", "grpc_tools.protoc", *(f"--proto_path={each}" for each in folders)]
        command += ["--include_imports", f"--descriptor_set_out={out}", str(proto)]
        try:
            done = subprocess.run(command, capture_output=True, timeout=_PROTOC_S, check=False)
        except subprocess.TimeoutExpired:
            raise UsageError(f"{proto} cannot be compiled within {_PROTOC_S} s") from None
        if done.returncode:
            raise UsageError(f"{proto} cannot be compiled: {_complaint(done.stderr, folders)}")
        found = descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes())
    schema = Schema()
    for file in found.file:  # each after those that it imports
        schema.add(file.SerializeToString())
    return schema


def encoded(method: Method, data: str) -> bytes:
    """Return a message, given as JSON, as bytes. Raises UsageError where it does not fit the method."""
    message = message_factory.GetMessageClass(method.takes)()
    try:
        json_format.Parse(data, message)
        whole: bytes = message.SerializeToString()
    except (json_format.ParseError, ValueError, TypeError) as error:
        raise UsageError(
            f"--data is no {method.takes.full_name}, which {method.name} takes: {_line(error)}"
        ) from None
    return whole


def reflection_request(*, symbol: str = "", file: str = "") -> bytes:
    """Return a question to a server's reflection: for the file that defines a symbol, or for a file by its name."""
    asked = {"file_containing_symbol": symbol} if symbol else {"file_by_filename": file}
    found: bytes = reflection_pb2.ServerReflectionRequest(**asked).SerializeToString()
    return found


def reflection_answer(content: bytes) -> tuple[list[bytes], str]:
    """Return the files that a server's reflection gave, and its error."""
    try:
        answer = reflection_pb2.ServerReflectionResponse.FromString(content)
    except DecodeError:
        return [], "an answer that cannot be read"
    if answer.HasField("error_response"):
        return [], answer.error_response.error_message or f"code {answer.error_response.error_code}"
    return list(answer.file_descriptor_response.file_descriptor_proto), ""


def health_request(service: str) -> bytes:
    """Return a question to the health service."""
    found: bytes = health_pb2.HealthCheckRequest(service=service).SerializeToString()
    return found


def health_answer(content: bytes) -> str:
    """Return what the health service said: SERVING, NOT_SERVING, UNKNOWN, …"""
    try:
        status = health_pb2.HealthCheckResponse.FromString(content).status
        name: str = health_pb2.HealthCheckResponse.ServingStatus.Name(status)
    except (DecodeError, ValueError):
        return "UNKNOWN"
    return name


def _listed(names: Iterable[str]) -> str:
    found = list(names)
    return ", ".join(found[:_SHOWN]) + (", …" if len(found) > _SHOWN else "")


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


def _complaint(stderr: bytes, folders: Iterable[Path]) -> str:
    """Return the protocol compiler's first error, without our folders; its warnings come first."""
    lines = [line.strip() for line in stderr.decode(errors="replace").splitlines() if line.strip()]
    said = next((line for line in lines if "warning:" not in line.lower()), "no reason is given")
    for folder in folders:
        said = said.replace(f"{folder}/", "")
    return said[:300]
