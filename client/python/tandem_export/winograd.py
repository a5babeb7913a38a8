"""Convolutions of 3x3 by Winograd's minimal filtering, where a measurement shows that it is faster.

A tile of m x m outputs takes (m + 2)^2 multiplications for each pair of channels in place of 9 m^2:
the inputs of a tile and the filter are transformed, multiplied, and transformed back. The products of
all tiles are one matrix product for each of the (m + 2)^2 places of a tile. After Lavin and Gray,
"Fast Algorithms for Convolutional Neural Networks", 2015 (arXiv:1509.09308).

Everything is torch's own operators, in the order in which the compiler makes loops over the channels
of them: the first dimension is the one that is put together, and channels are the last.
"""

import statistics
import time

import torch

# By m: what transforms inputs, filters and products, as the paper names them: B^T, G and A^T.
TRANSFORMS = {
    2: (
        [[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]],
        [[1, 0, 0], [1 / 2, 1 / 2, 1 / 2], [1 / 2, -1 / 2, 1 / 2], [0, 0, 1]],
        [[1, 1, 1, 0], [0, 1, -1, -1]],
    ),
    4: (
        [
            [4, 0, -5, 0, 1, 0],
            [0, -4, -4, 1, 1, 0],
            [0, 4, -4, -1, 1, 0],
            [0, -2, -1, 2, 1, 0],
            [0, 2, -1, -2, 1, 0],
            [0, 4, 0, -5, 0, 1],
        ],
        [
            [1 / 4, 0, 0],
            [-1 / 6, -1 / 6, -1 / 6],
            [-1 / 6, 1 / 6, -1 / 6],
            [1 / 24, 1 / 12, 1 / 6],
            [1 / 24, -1 / 12, 1 / 6],
            [0, 0, 1],
        ],
        [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]],
    ),
}
# In bfloat16 the larger tile's factors cost too many of its few digits.
TILES = {torch.float32: (2, 4), torch.bfloat16: (2,)}
# Fewer channels leave nothing to multiply between the transforms.
LEAST_CHANNELS = 16
# What a convolution has to win when it is measured alone.
GAIN = 0.95
# How often the ways take turns, and how often each is measured in its turn.
ROUNDS = 5
CALLS = 6


def combine(factors, parts):
    """The sum of the parts times their factors."""
    total = None
    for factor, part in zip(factors, parts):
        if factor == 0:
            continue
        if total is None:
            total = part if factor == 1 else part * factor
        elif factor == -1:
            total = total - part
        else:
            total = total + (part if factor == 1 else part * factor)
    return total


class WinogradConvolution(torch.nn.Module):
    """A convolution of 3x3 with stride 1, in tiles of `tile` x `tile` outputs. `one_by_one`: the images of
    a batch one after the other, whose transformed inputs then fit into a nearer cache; the number
    of images has to be fixed.
    """

    def __init__(self, weight, bias, padding, tile, one_by_one=False):
        super().__init__()
        self.tile = tile
        self.one_by_one = one_by_one
        self.padding = padding
        factors = torch.tensor(TRANSFORMS[tile][1], dtype=torch.float64, device=weight.device)
        outputs, inputs = weight.shape[:2]
        filters = torch.einsum("il,oclk,jk->jico", factors, weight.detach().double(), factors)
        self.register_buffer("filters", filters.reshape(-1, inputs, outputs).to(weight.dtype))
        self.register_buffer("bias", None if bias is None else bias.detach().clone())

    def forward(self, x):
        """[n, c, h, w] to [n, k, h', w']."""
        if self.one_by_one:
            return torch.cat([self.convolve(image) for image in x.split(1)])
        return self.convolve(x)

    def convolve(self, x):
        """The same, of all images together."""
        m, side = self.tile, self.tile + 2
        into, _, back = TRANSFORMS[m]
        n, channels, height, width = x.shape
        top, left = self.padding
        height, width = height + 2 * top - 2, width + 2 * left - 2
        down, across = -(-height // m), -(-width // m)
        tiles = n * down * across
        # What the last tiles read beyond the image, and beyond the padding, is nothing.
        beyond = (m * across - width, m * down - height)
        x = torch.nn.functional.pad(
            x.permute(0, 2, 3, 1), (0, 0, left, left + beyond[0], top, top + beyond[1])
        )
        # From the lines of the tiles: [line i of a tile, tile's row], column of the image, channel.
        lines = [x[:, i : i + m * (down - 1) + 1 : m] for i in range(side)]
        x = torch.cat(
            [combine(row, lines).reshape(n * down, m * across + 2, channels) for row in into]
        )
        # From their columns: [column j of a tile, line i, tile's row], tile's column, channel.
        columns = [x[:, j : j + m * (across - 1) + 1 : m] for j in range(side)]
        x = torch.cat([combine(row, columns) for row in into])
        x = torch.bmm(x.reshape(side * side, tiles, channels), self.filters)
        outputs = x.shape[2]
        x = x.reshape(side, side * tiles, outputs)
        # Back, columns first: [line i, tile], column of the tile's output, channel.
        x = torch.cat(
            [combine(row, x.unbind()).reshape(side * tiles, 1, outputs) for row in back], dim=1
        )
        x = x.reshape(side, n * down, across * m, outputs).unbind()
        # And lines: tile's row, [line of its output, column of the image], channel.
        lines = [combine(row, x) for row in back]
        if self.bias is not None:
            lines = [line + self.bias for line in lines]
        x = torch.cat(lines, dim=1).reshape(n, down * m, across * m, outputs)
        return x[:, :height, :width].permute(0, 3, 1, 2)


class Convolution(torch.nn.Module):
    """The same, as torch computes it."""

    def __init__(self, weight, bias, padding):
        super().__init__()
        self.weight = torch.nn.Parameter(weight, requires_grad=False)
        self.bias = None if bias is None else torch.nn.Parameter(bias, requires_grad=False)
        self.padding = padding

    def forward(self, x):
        """[n, c, h, w] to [n, k, h', w']."""
        return torch.nn.functional.conv2d(x, self.weight, self.bias, padding=self.padding)


def constant_of(program, node):
    """The tensor that a node of a program's graph stands for; None where it is none."""
    if node is None or node.op != "get_attr":
        return None
    value = program
    for name in node.target.split("."):
        value = getattr(value, name)
    return value


def arguments_of(node):
    """A convolution's input, weight, bias, stride, padding, dilation and groups."""
    defaults = (None, [1, 1], [0, 0], [1, 1], 1)
    arguments = list(node.args) + list(defaults[len(node.args) - 2 :])
    names = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
    arguments = [node.kwargs.get(name, given) for name, given in zip(names, arguments)]
    stride, padding, dilation = (list(one) * (2 // len(one)) for one in arguments[3:6])
    return (*arguments[:3], stride, padding, dilation, arguments[6])


def suits(x, weight, stride, dilation, groups):
    """Whether a convolution is one that can be done this way at all."""
    return (
        list(weight.shape[2:]) == [3, 3]
        and min(weight.shape[:2]) >= LEAST_CHANNELS
        and (list(stride), list(dilation), groups) == ([1, 1], [1, 1], 1)
        and weight.dtype in TILES
        and x.dtype == weight.dtype
        and x.dim() == 4
        and all(isinstance(size, int) for size in x.shape[1:])
    )


def milliseconds(modules, x):
    """The median time of each, compiled, on one thread. They take turns, each long enough to find its
    filters in the cache.
    """
    torch._dynamo.reset()
    compiled = [torch.compile(module, fullgraph=True) for module in modules]
    taken = [[] for _ in modules]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch._inductor.config.patch(freezing=True):
            for _ in range(ROUNDS):
                for function, times in zip(compiled, taken):
                    function(x)
                    function(x)
                    for _ in range(CALLS):
                        begin = time.perf_counter()
                        function(x)
                        times.append(time.perf_counter() - begin)
    finally:
        torch.set_num_threads(threads)
    return [1000 * statistics.median(times) for times in taken]


def fastest(weight, bias, padding, shape, is_fixed):
    """The way that is fastest for an input of that shape, as what follows the padding in
    WinogradConvolution's arguments, None where torch's own is; and a line that tells what was measured.
    `is_fixed`: the batch is always of that size.
    """
    each = (False, True) if is_fixed and shape[0] > 1 else (False,)
    ways = [(tile, one_by_one) for one_by_one in each for tile in TILES[weight.dtype]]
    layers = [WinogradConvolution(weight, bias, padding, *way) for way in ways]
    x = torch.rand(shape).to(weight.dtype).to(memory_format=torch.channels_last)
    own, *times = milliseconds([Convolution(weight, bias, padding), *layers], x)
    least, way = min(zip(times, ways))
    if least >= GAIN * own:
        way = None
    measured = ", ".join(f"{taken:.2f} in {in_words(one)}" for taken, one in zip(times, ways))
    return way, (
        f"convolutions of {weight.shape[1]} to {weight.shape[0]} channels on"
        f" {'x'.join(map(str, [shape[0], *shape[2:]]))}: {own:.2f} ms, {measured}:"
        f" {f'done in {in_words(way)}' if way else 'left as they are'}"
    )


def in_words(way):
    """A way for a reader."""
    tile, one_by_one = way
    return f"tiles of {tile}x{tile}{' one by one' if one_by_one else ''}"


def with_winograd(program, largest):
    """The program as a module, each of whose convolutions is done in the way that is fastest on this
    machine: for the program's own batch size, and for `largest` where that is open, since full
    batches are what load brings. Prints what was measured.
    """
    module = program.module(check_guards=False)
    ways = {}
    changed = 0
    for node in list(module.graph.nodes):
        if node.target is not torch.ops.aten.conv2d.default:
            continue
        x, *constants, stride, padding, dilation, groups = arguments_of(node)
        weight, bias = (constant_of(module, one) for one in constants)
        if weight is None or (bias is None and constants[1] is not None):
            continue
        value = x.meta["val"]
        if not suits(value, weight, stride, dilation, groups):
            continue
        is_fixed = isinstance(value.shape[0], int)
        shape = (value.shape[0] if is_fixed else largest, *value.shape[1:])
        key = (shape, weight.shape, weight.dtype, bias is None, tuple(padding))
        if key not in ways:
            ways[key], line = fastest(weight, bias, padding, shape, is_fixed)
            print(line, flush=True)
        if ways[key] is None:
            continue
        name = f"winograd_{changed}"
        changed += 1
        module.add_submodule(name, WinogradConvolution(weight, bias, padding, *ways[key]))
        with module.graph.inserting_before(node):
            layer = module.graph.call_module(name, (x,))
        # What follows asks for its shape.
        layer.meta["val"] = node.meta["val"]
        node.replace_all_uses_with(layer)
        module.graph.erase_node(node)
    if not ways:
        print(
            "the model has no convolution that --winograd could change: expected filters of 3x3 that are"
            f" constants, stride and dilation 1, one group, {LEAST_CHANNELS} channels or more, images in"
            " batches, FP32 or bfloat16"
        )
    module.graph.eliminate_dead_code()
    module.recompile()
    return module
