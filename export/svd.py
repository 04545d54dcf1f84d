"""Truncated SVD of fully connected layers (Girshick 2015, section 3.1).

A Dense layer that computes W x + b, W of u rows (units) and v columns (inputs), becomes two:
`<name>_v`, Sigma_t V^T of t units without bias, and `<name>_u`, U of u units with the bias and the
activation. Nothing non-linear stands between them, and t (u + v) multiply-adds replace u v.
"""

from collections.abc import Mapping, Sequence

import keras
import numpy as np
import scipy.linalg

from keras_frcnn.errors import InputError
from keras_frcnn.models.detection_model import copy_description
from keras_frcnn.models.heads import FULLY_CONNECTED

BLOCK_ROWS = 2048  # of a kernel, converted to float64 at a time


class Decomposition:
    """The singular value decomposition of a Dense layer's kernel, for any truncation of it.

    From the eigenvectors of the Gram matrix of the kernel's shorter side, in float64: a small part
    of the work and the memory of the full decomposition. What singular values lose when they are
    squared does not matter, because the longer side is projected on the eigenvectors and never
    divided by a singular value: the product of the two factors is the kernel's projection.

    Args:
        kernel: float32 [inputs, units], as Keras has it: the transpose of W.
    """

    def __init__(self, kernel: np.ndarray):
        # From here on the shorter side is the second.
        self._is_wide = kernel.shape[0] < kernel.shape[1]
        self._kernel = kernel.T if self._is_wide else kernel
        gram = np.zeros((self._kernel.shape[1],) * 2)
        for block in self._blocks():
            gram += block.T @ block
        energies, vectors = scipy.linalg.eigh(gram, overwrite_a=True, check_finite=False)
        self._vectors = vectors[:, ::-1]
        self.singular_values = np.sqrt(np.maximum(energies[::-1], 0))  # descending

    @property
    def rank(self) -> int:
        """The number of singular values."""
        return len(self.singular_values)

    def truncated(self, rank: int) -> tuple[np.ndarray, np.ndarray]:
        """The kernels of the two layers, float32 [inputs, rank] (V Sigma) and [rank, units] (U^T).

        Their product is the best approximation of the kernel of that rank.
        """
        vectors = self._vectors[:, :rank]
        # Singular vectors of the longer side times the singular values.
        projected = np.concatenate([block @ vectors for block in self._blocks()])
        if self._is_wide:
            sigma = np.linalg.norm(projected, axis=0)
            sigma = np.where(sigma > 0, sigma, 1)  # a kernel of lower rank: any vector will do
            projected, vectors = vectors * sigma, projected / sigma
        return projected.astype(np.float32), np.ascontiguousarray(vectors.T, np.float32)

    def _blocks(self):
        for start in range(0, len(self._kernel), BLOCK_ROWS):
            yield self._kernel[start : start + BLOCK_ROWS].astype(np.float64)


def compress(
    model: keras.Model,
    ranks: Mapping[str, int] | None = None,
    energy: float | None = None,
    latency: float | None = None,
    layers: Sequence[str] = FULLY_CONNECTED,
    decompositions: Mapping[str, Decomposition] | None = None,
) -> keras.Model:
    """A copy of `model` in which Dense layers are replaced by two each.

    Exactly one of `ranks`, `energy` and `latency` says how far; see `choose_ranks` for the others.

    Args:
        model: a functional Keras model.
        ranks: the rank t of each layer by its name; the paper's are fc6=1024 and fc7=256.
        energy, latency, layers: see `choose_ranks`.
        decompositions: of these layers (`decompose`), where there are any already.

    Returns:
        A model with the weights of the first and the same inputs and outputs, not compiled. A layer
        for which `energy` or `latency` choose no rank is as it was.

    Raises:
        InputError: a layer is missing or no Dense layer, or a rank or fraction is impossible.
    """
    if sum(x is not None for x in (ranks, energy, latency)) != 1:
        raise InputError("svd: give one of ranks, energy and latency")
    names = tuple(layers) if ranks is None else tuple(ranks)
    dense = {name: _dense(model, name) for name in names}
    if ranks is not None:
        for name, rank in ranks.items():
            highest = min(dense[name].kernel.shape)
            if not 1 <= rank <= highest:
                raise InputError(f"svd: the rank of {name} must be from 1 to {highest}, not {rank}")
    if decompositions is None:
        decompositions = decompose(model, names)
    if ranks is None:
        ranks = choose_ranks(decompositions, model, energy, latency)

    first, second = {}, {}

    def clone(layer):
        config = layer.get_config()
        if layer.name not in ranks:
            return type(layer).from_config(config)
        name = layer.name
        config_v = dict(config, name=f"{name}_v", units=ranks[name], use_bias=False)
        first[name] = type(layer).from_config(dict(config_v, activation=None))
        second[name] = type(layer).from_config(dict(config, name=f"{name}_u"))
        return second[name]

    def call(layer, *args, **kwargs):
        for name, replaced in second.items():
            if layer is replaced:
                args = (first[name](*args), *args[1:])
        return layer(*args, **kwargs)

    compressed = keras.models.clone_model(model, clone_function=clone, call_function=call)
    for layer in model.layers:
        if layer.name in ranks:
            v, u = decompositions[layer.name].truncated(ranks[layer.name])
            first[layer.name].kernel.assign(v)
            second[layer.name].kernel.assign(u)
            if layer.use_bias:
                second[layer.name].bias.assign(layer.bias.value)
        elif layer.weights:
            copy = compressed.get_layer(layer.name)
            for old, new in zip(layer.weights, copy.weights, strict=True):
                new.assign(old.value)
    copy_description(model, compressed)
    return compressed


def decompose(
    model: keras.Model, layers: Sequence[str] = FULLY_CONNECTED
) -> dict[str, Decomposition]:
    """The decompositions of Dense layers, by name; VGG16's fc6 takes most of a minute."""
    return {
        name: Decomposition(np.asarray(_dense(model, name).kernel.numpy(), np.float32))
        for name in layers
    }


def choose_ranks(
    decompositions: Mapping[str, Decomposition],
    model: keras.Model,
    energy: float | None = None,
    latency: float | None = None,
) -> dict[str, int]:
    """Ranks by what they keep or by what they cost.

    Args:
        decompositions: of the layers to choose for.
        model: the model they are of.
        energy: the share of the sum of squared singular values that each layer keeps at least.
        latency: the share of the multiply-adds of these layers together that is left at most. Of
            all ranks that cost so little, those that keep most energy, each layer's taken as a
            share of its own.

    Returns:
        Rank by name, without the layers that would need more multiply-adds as two than as one.

    Raises:
        InputError: a fraction is not in (0, 1], or no rank is small enough for `latency`.
    """
    for name, value in (("energy", energy), ("latency", latency)):
        if value is not None and not 0 < value <= 1:
            raise InputError(f"svd: {name} must be above 0 and at most 1, not {value}")
    shapes = {name: _dense(model, name).kernel.shape for name in decompositions}
    break_even = {name: v * u // (v + u) for name, (v, u) in shapes.items()}
    shares = {
        name: np.square(d.singular_values) / max(np.sum(np.square(d.singular_values)), 1e-300)
        for name, d in decompositions.items()
    }
    if energy is not None:
        ranks = {
            # Rounding can leave the whole sum below 1.
            name: min(int(np.searchsorted(np.cumsum(share), energy)) + 1, len(share))
            for name, share in shares.items()
        }
        return {name: rank for name, rank in ranks.items() if rank <= break_even[name]}

    budget = latency * sum(v * u for v, u in shapes.values())
    # A rank more of a layer costs the same each time and keeps less each time, so taking the best
    # bargains first, as long as they fit, keeps most.
    bargains = sorted(
        (-share[i] / sum(shapes[name]), name, i)
        for name, share in shares.items()
        for i in range(1, break_even[name])
    )
    ranks = dict.fromkeys(shapes, 1)
    cost = sum(sum(shape) for shape in shapes.values())
    if cost > budget:
        least = cost / sum(v * u for v, u in shapes.values())
        raise InputError(f"svd: latency must be at least {least:.4f} for these layers")
    for _, name, i in bargains:
        cost += sum(shapes[name])
        if cost > budget:
            break
        ranks[name] = i + 1
    return ranks


def parse_svd(text: str) -> dict:
    """The keyword arguments of `compress` in `fc6=1024,fc7=256`, `energy=0.9` or `latency=0.5`.

    Raises:
        InputError: it is none of these.
    """
    pairs = [part.partition("=") for part in text.split(",")]
    try:
        if len(pairs) == 1 and pairs[0][0] in ("energy", "latency"):
            return {pairs[0][0]: float(pairs[0][2])}
        ranks = {name: int(value) for name, _, value in pairs}
    except ValueError:
        ranks = {}
    if not all(ranks) or len(ranks) != len(pairs):
        raise InputError(f"svd: {text!r} is not like fc6=1024,fc7=256 or energy=0.9 or latency=0.5")
    return {"ranks": ranks}


def _dense(model: keras.Model, name: str) -> keras.layers.Dense:
    dense = {layer.name: layer for layer in model.layers if isinstance(layer, keras.layers.Dense)}
    if name not in dense:
        raise InputError(f"svd: no Dense layer {name}; there are {', '.join(dense)}")
    return dense[name]
