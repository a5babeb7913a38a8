"""config.pbtxt: what the exporter writes, and whether one that is there fits a new version."""

import re

# Name in the protocol -> name in torch.
TYPES = {
    "BOOL": "bool",
    "UINT8": "uint8",
    "INT8": "int8",
    "INT16": "int16",
    "INT32": "int32",
    "INT64": "int64",
    "FP16": "float16",
    "FP32": "float32",
    "FP64": "float64",
    "BF16": "bfloat16",
}
# What the server takes (core/shape.h), the batch dimension among them.
MOST_DIMENSIONS = 8
# Where a model that was compiled for the device may run.
KINDS = {"cpu": "KIND_CPU", "cuda": "KIND_GPU"}


class Refused(Exception):
    """What the command line asks for cannot be had."""


def check_name(flag, name):
    """Refuses a tensor's name that is empty, or that config.pbtxt would need escapes for."""
    if not name:
        raise Refused(f"{flag}: a name is empty")
    if not name.isprintable() or any(c in name for c in "\"'\\"):
        raise Refused(
            f"{flag} {name!r}: expected a name without quotes, backslashes and control characters"
        )


class Input:
    """NAME=TYPE[D1,D2]: without the batch dimension."""

    def __init__(self, text):
        match = re.fullmatch(r"([^=]+)=([A-Z0-9]+)\[((?:[0-9]{1,18}(?:,[0-9]{1,18})*)?)\]", text)
        if match is None or match[2] not in TYPES:
            raise Refused(
                f"--input {text}: expected NAME=TYPE[D1,D2] with a type of {', '.join(TYPES)}"
            )
        self.name = match[1]
        self.type = match[2]
        self.dims = [int(size) for size in match[3].split(",") if size]


class Config:
    """What a version needs config.pbtxt to say."""

    def __init__(self, name, max_batch_size, device, inputs, outputs):
        """`inputs` and `outputs`: (name, type, dims) each, in order, without the batch dimension."""
        self.name = name
        self.max_batch_size = max_batch_size
        self.device = device
        self.tensors = {"input": inputs, "output": outputs}

    def text(self):
        """As a file."""
        lines = [
            f'name: "{self.name}"',
            'platform: "torch_aoti"',
            f"max_batch_size: {self.max_batch_size}",
        ]
        for kind, tensors in self.tensors.items():
            for name, type_name, dims in tensors:
                sizes = ", ".join(str(size) for size in dims)
                lines.append(
                    f'{kind} {{ name: "{name}" data_type: TYPE_{type_name} dims: [ {sizes} ] }}'
                )
        lines.append(f"instance_group {{ kind: {KINDS[self.device]} }}")
        if self.max_batch_size > 1:
            lines.append("dynamic_batching { }")
        return "\n".join([*lines, ""])

    def misfit(self, text):
        """How the file `text` does not fit this version, in a few words; "" where it fits."""
        try:
            there = parse(text)
        except ValueError as error:
            return f"it cannot be read ({error})"
        except RecursionError:
            return "it cannot be read (its messages are too deep)"
        name = last(there, "name", "")
        if name not in ("", self.name):
            return f"its name is {name!r}, and the folder's {self.name!r}"
        platform = last(there, "platform", "")
        if platform != "torch_aoti":
            return f"its platform is {platform!r}, and a compiled model's 'torch_aoti'"
        file = last(there, "default_model_filename", "model.pt2")
        if file not in ("", "model.pt2"):
            return f"its default_model_filename is {file!r}, and the version has model.pt2"
        return (
            self._other_batch(str(last(there, "max_batch_size", "0")))
            or self._other_tensors(there)
            or self._other_device(there)
        )

    def _other_batch(self, size):
        # A smaller one fits as well, such as `tandem tune --write` may choose.
        least = min(self.max_batch_size, 1)
        if not size.isdecimal() or not least <= int(size) <= self.max_batch_size:
            return f"its max_batch_size is {size}, and the new version's {self.max_batch_size}"
        return ""

    def _other_tensors(self, there):
        for kind, wanted in self.tensors.items():
            found = [tensor(message) for message in there.get(kind, [])]
            for one in wanted:
                if words(one) not in found:
                    return f"it has no {kind} {words(one)}, which the new version has"
            for one in found:
                if one not in [words(other) for other in wanted]:
                    return f"it has the {kind} {one}, which the new version lacks"
            if found != [words(one) for one in wanted]:
                return f"its {kind}s are in the order {', '.join(found)}"
        return ""

    def _other_device(self, there):
        kinds = [
            str(last(group, "kind", "KIND_AUTO"))
            for group in there.get("instance_group", [])
            if isinstance(group, dict)
        ]
        if kinds and not {KINDS[self.device], "KIND_AUTO", "KIND_MODEL"}.intersection(kinds):
            return f"its instance groups are {', '.join(kinds)}, and the version's {KINDS[self.device]}"
        return ""


def words(entry):
    """(name, type, dims) for a reader."""
    name, type_name, dims = entry
    return f"{name} {type_name}[{','.join(str(size) for size in dims)}]"


def tensor(message):
    """The same of an `input` or `output` that was parsed."""
    if not isinstance(message, dict):
        return str(message)
    type_name = str(last(message, "data_type", "TYPE_INVALID")).removeprefix("TYPE_")
    return words((last(message, "name", ""), type_name, message.get("dims", [])))


def last(message, field, default):
    """The value of a field that is no list: the last counts."""
    return (message.get(field) or [default])[-1]


TOKEN = re.compile(
    r"""(?:\s|\#[^\n]*)*(?:(?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')"""
    r"""|(?P<word>[-+.\w]+)|(?P<sign>[][{}<>:,;])|(?P<end>\Z))"""
)


def parse(text):
    """Protobuf's text format, as far as configurations use it: field name -> list of values, which
    are words, strings (their escapes as they stand) and messages. ValueError: where it ends.
    """
    tokens = []
    position = 0
    while True:
        match = TOKEN.match(text, position)
        if match is None:
            # Spaces and comments before it are no part of what cannot be read.
            begin = re.compile(r"(?:\s|#[^\n]*)*").match(text, position).end()
            raise ValueError(f"line {text.count(chr(10), 0, begin) + 1}")
        tokens.append((match.lastgroup, match[match.lastgroup], match.end()))
        position = match.end()
        if match.lastgroup == "end":
            break
    return _Reader(text, tokens).message("")


class _Reader:
    """Reads tokens, of which the last is the end."""

    def __init__(self, text, tokens):
        self.text = text
        self.tokens = tokens
        self.at = 0

    def take(self, *values):
        """Whether the next token is one of these signs; if so, it is passed."""
        kind, value, _ = self.tokens[self.at]
        if kind != "sign" or value not in values:
            return False
        self.at += 1
        return True

    def fail(self):
        line = self.text.count("\n", 0, self.tokens[self.at][2]) + 1
        raise ValueError(f"line {line}")

    def message(self, end):
        """Fields up to the sign `end`, "" for the end of the file."""
        fields = {}
        while not (self.take(end) if end else self.tokens[self.at][0] == "end"):
            kind, name, _ = self.tokens[self.at]
            if kind != "word":
                self.fail()
            self.at += 1
            colon = self.take(":")
            values = fields.setdefault(name, [])
            if self.take("["):
                while not self.take("]"):
                    values.append(self.value(True))
                    self.take(",")
            else:
                values.append(self.value(colon))
            self.take(",", ";")
        return fields

    def value(self, scalar):
        """A message, or also a word or string where `scalar`."""
        if self.take("{"):
            return self.message("}")
        if self.take("<"):
            return self.message(">")
        kind, value, _ = self.tokens[self.at]
        if not scalar or kind not in ("word", "string"):
            self.fail()
        self.at += 1
        if kind == "word":
            return value
        value = value[1:-1]
        # Strings that follow each other are one.
        while self.tokens[self.at][0] == "string":
            value += self.tokens[self.at][1][1:-1]
            self.at += 1
        return value
