"""Linear layers whose weights and inputs are int8, as they stand in an ONNX graph.

A row's result does not depend on the rows beside it, as it would if the range of a whole batch
were quantised: a layer that narrows (after the GELU, where outliers are worst) reads its input
with one scale per row, the others with ranges fixed beforehand.

Before its range is taken, each channel is divided by about the square root of its largest value
and its weights multiplied by the same (SmoothQuant, Xiao et al. 2023): a few channels of LayerNorm
are 20 times the others.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

GELU_DEPTH = 0.17  # GELU is never below minus this
# Older processors sum two products in 16 bits: 2 * 255 * 64 fits, and every processor sums alike.
LARGEST_WEIGHT = 64


def quantise(network: nn.Module, run: Callable[[], None]) -> None:
    """Put int8 layers in the place of the linear ones, for inputs such as `run` gives them."""
    linears = {n: layer for n, layer in network.named_modules() if isinstance(layer, nn.Linear)}
    ranges: dict[nn.Module, tuple[Tensor, Tensor]] = {}

    def widen(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        values = inputs[0].flatten(0, -2)
        low, high = ranges.get(layer, (values[0], values[0]))
        ranges[layer] = low.minimum(values.amin(0)), high.maximum(values.amax(0))

    hooks = [layer.register_forward_pre_hook(widen) for layer in linears.values()]
    run()
    for hook in hooks:
        hook.remove()
    for name, layer in linears.items():
        network.set_submodule(name, int8_linear(layer, *ranges[layer]))


def int8_linear(linear: nn.Linear, low: Tensor, high: Tensor) -> "Int8Linear":
    """The layer with int8 weights, one scale per output, for inputs between low and high [in]."""
    by_row = linear.in_features > linear.out_features
    peaks = torch.maximum(-low, high).clamp(min=1e-6).sqrt()
    # Powers of two: dividing by them is exact.
    divisor = torch.ones_like(peaks) if by_row else 2 ** (peaks / peaks.median()).log2().round()
    weight = linear.weight.detach() * divisor
    weight_scale = weight.abs().amax(1).clamp(min=1e-12) / LARGEST_WEIGHT
    depth = -(low / divisor).amin().clamp(max=0)
    scale = ((high / divisor).amax().clamp(min=1e-6) + depth) / 255
    return Int8Linear(
        by_row,
        weight=(weight / weight_scale[:, None]).round().to(torch.int8).T.contiguous(),
        weight_scale=weight_scale,
        bias=linear.bias.detach(),
        shrink=1 / divisor,
        scale=torch.ones(()) if by_row else scale,
        zero=torch.tensor(128 if by_row else round(float(depth / scale)), dtype=torch.uint8),
    )


class Int8Linear(nn.Module):
    """A linear layer to be exported; its tensors are shared in the graph where they are equal."""

    weight: Tensor
    weight_scale: Tensor
    bias: Tensor
    shrink: Tensor
    scale: Tensor
    zero: Tensor

    def __init__(self, by_row: bool, **tensors: Tensor) -> None:
        super().__init__()
        self.by_row = by_row
        for name, tensor in tensors.items():
            self.register_buffer(name, tensor)

    def forward(self, x: Tensor) -> Tensor:
        """[B, L, in] to [B, L, out]."""
        scales = (self.scale, self.weight_scale, self.zero)
        if not self.by_row:
            x = x * self.shrink
            return _product(x, self.scale, self.zero, self.weight, *scales, self.bias)
        rows = x.flatten(0, 1)
        steps = rows.amax(1).clamp(min=GELU_DEPTH) / 127
        zeros = torch.full_like(steps, 128, dtype=torch.uint8)
        product = _product(rows, steps, zeros, self.weight, *scales)
        return (product * steps[:, None] + self.bias).view(*x.shape[:2], -1)


class _Product(torch.autograd.Function):
    """Quantise x, multiply by the int8 weights, scale back: what the ONNX graph does."""

    @staticmethod
    def forward(_: Any, x: Tensor, *tensors: Tensor) -> Tensor:  # noqa: ANN401
        """Only the shape, which is all that the exporter asks for."""
        return x.new_zeros(*x.shape[:-1], tensors[2].shape[1])

    @staticmethod
    def symbolic(g: Any, x: Any, steps: Any, zeros: Any, weight: Any, *rest: Any) -> Any:  # noqa: ANN401
        """`steps` and `zeros` are one number each, or one for each row of x."""
        quantised = g.op("QuantizeLinear", x, steps, zeros, axis_i=0)
        scale, weight_scale, zero, *bias = rest
        weight_zero = g.op("Constant", value_t=torch.zeros((), dtype=torch.int8))
        inputs = (quantised, weight, scale, weight_scale, zero, weight_zero, *bias)
        product = g.op("com.microsoft::MatMulIntegerToFloat", *inputs)
        return product.setType(x.type().with_sizes([None] * x.type().dim()))


def _product(*tensors: Tensor) -> Tensor:
    """x, its step and zero, the weights, their scales, and a bias or none."""
    product: Any = _Product.apply(*tensors)
    return product
