"""The training step of `keras-frcnn bench train` in PyTorch: the same network, loss and update.

PyTorch has no RoI pooling without torchvision. The fastest of its own means is used:
`adaptive_max_pool2d` on the cells of one RoI after the other, which has the bins of the paper as
long as a RoI stays on the feature map, and one `scatter_add_` for the gradient of all RoIs.

Shape letters: N images of H x W pixels, R RoIs an image, K object classes, C channels.
"""

from collections.abc import Callable
from multiprocessing.connection import Connection

import torch
from torch import nn
from torch.nn import functional

from keras_frcnn.benchmarks.turns import answer_steps

PIXEL_STD = 58.0  # that of models.building, which would bring TensorFlow into this process
# Filters of the 3 x 3 convolutions of VGG16's blocks; max pooling stands between the blocks.
BLOCKS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
FROZEN_BLOCKS = 2  # as the recipe freezes them
POOL_SIZE = 7
STRIDE = 16


class RoIPool(torch.autograd.Function):
    """Max pooling of `features` [N, C, h, w] in `rois` [N, R, 4] to [N * R, C, 7, 7]."""

    @staticmethod
    def forward(ctx, features, rois):
        """Pool one RoI after the other and note where the maxima were."""
        n, channels, height, width = features.shape
        count = n * rois.shape[1]
        corners = torch.floor(rois.reshape(-1, 4) / STRIDE + 0.5).long()
        corners[:, 0::2].clamp_(0, width - 1)
        corners[:, 1::2].clamp_(0, height - 1)
        x1, y1, x2, _ = corners.T
        pooled = features.new_empty(count, channels, POOL_SIZE, POOL_SIZE)
        index = torch.empty(pooled.shape, dtype=torch.int64)
        for k, (left, top, right, bottom) in enumerate(corners.tolist()):
            region = features[k // rois.shape[1], :, top : bottom + 1, left : right + 1]
            pooled[k], index[k] = functional.adaptive_max_pool2d(region, POOL_SIZE, True)
        # Positions in a region become positions in the feature map.
        x1, y1, region_width = (v[:, None, None, None] for v in (x1, y1, x2 - x1 + 1))
        index = (index // region_width + y1) * width + index % region_width + x1
        ctx.save_for_backward(_by_channel(index, n))
        ctx.shape = features.shape
        ctx.channels_last = features.is_contiguous(memory_format=torch.channels_last)
        return pooled

    @staticmethod
    def backward(ctx, grad_pooled):
        """Add the gradient of every output to the cell it came from."""
        (index,) = ctx.saved_tensors
        n, channels, height, width = ctx.shape
        grad = grad_pooled.new_zeros(n, channels, height * width)
        grad = grad.scatter_add_(2, index, _by_channel(grad_pooled, n))
        grad = grad.unflatten(2, (height, width))
        if ctx.channels_last:
            grad = grad.contiguous(memory_format=torch.channels_last)
        return grad, None


class FastRCNN(nn.Module):
    """VGG16 Fast R-CNN with the layers of `models.fast_rcnn.FastRCNN`, by the same names.

    Call it with `images` [N, 3, H, W] and `rois` [N, R, 4]; it returns logits [N, R, K + 1] and
    deltas [N, R, K, 4], both float32. The targets' mean and deviation are 0 and 1.
    """

    def __init__(self, num_classes: int, dropout: float = 0.5):
        super().__init__()
        self.num_classes = num_classes
        self.dropout = dropout
        channels = 3
        for block, filters in enumerate(BLOCKS, 1):
            for conv, units in enumerate(filters, 1):
                layer = nn.Conv2d(channels, units, 3, padding=1)
                layer.requires_grad_(block > FROZEN_BLOCKS)
                self.add_module(f"block{block}_conv{conv}", layer)
                channels = units
        self.fc6 = nn.Linear(channels * POOL_SIZE**2, 4096)
        self.fc7 = nn.Linear(4096, 4096)
        self.cls_score = nn.Linear(4096, num_classes + 1)
        self.bbox_deltas = nn.Linear(4096, num_classes * 4)

    def forward(self, images, rois):
        """Scores and deltas of all RoIs."""
        x = images / PIXEL_STD
        for block, filters in enumerate(BLOCKS, 1):
            if block > 1:
                x = functional.max_pool2d(x, 2)
            for conv in range(1, len(filters) + 1):
                x = functional.relu(getattr(self, f"block{block}_conv{conv}")(x), inplace=True)
        x = RoIPool.apply(x, rois).flatten(1)
        for layer in (self.fc6, self.fc7):
            x = functional.relu(layer(x), inplace=True)
            x = functional.dropout(x, self.dropout, self.training)
        with torch.autocast("cpu", enabled=False):
            x = x.float()
            cls_score, deltas = self.cls_score(x), self.bbox_deltas(x)
        n, r = rois.shape[:2]
        return cls_score.view(n, r, -1), deltas.view(n, r, self.num_classes, 4)

    def load_keras_weights(self, weights: dict) -> None:
        """Take the `(kernel, bias)` arrays of the Keras model's layers, by layer name."""
        with torch.no_grad():
            for name, (kernel, bias) in weights.items():
                layer = getattr(self, name)
                kernel = torch.from_numpy(kernel)
                if kernel.ndim == 4:  # height, width, in, out
                    kernel = kernel.permute(3, 2, 0, 1)
                elif name == "fc6":  # its inputs are in row, column, channel order in Keras
                    kernel = kernel.unflatten(0, (POOL_SIZE, POOL_SIZE, -1))
                    kernel = kernel.permute(3, 2, 0, 1).flatten(1)
                else:
                    kernel = kernel.T
                layer.weight.copy_(kernel)
                layer.bias.copy_(torch.from_numpy(bias))


def loss(cls_score, deltas, labels, targets):
    """The multi-task loss (paper section 2.3): labels [N, R] without padding, targets [N, R, 4]."""
    labels = labels.flatten().long()
    fg = torch.nonzero(labels > 0).squeeze(1)
    deltas = deltas.flatten(0, 1)[fg, labels[fg] - 1]
    box_loss = functional.smooth_l1_loss(deltas, targets.flatten(0, 1)[fg], reduction="sum")
    return functional.cross_entropy(cls_score.flatten(0, 1), labels) + box_loss / len(labels)


def training_step(
    batch, num_classes: int, precision: str, channels_last: bool, threads: int
) -> Callable[[], None]:
    """A function that makes one step on `batch`, arrays as `pipeline.training_dataset` gives them.

    Args:
        precision: `float32`, or `mixed_bfloat16`: weights in float32, computation by autocast.
        channels_last: the memory layout of the convolutions.
    """
    torch.set_num_threads(threads)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    model = FastRCNN(num_classes).to(memory_format=layout).train()
    trained = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(
        [
            {"params": [p for name, p in trained if name.endswith("weight")]},
            {"params": [p for name, p in trained if name.endswith("bias")], "lr": 0.002},
        ],
        lr=0.001,
        momentum=0.9,
        weight_decay=0.0005,
        fused=True,
    )
    inputs, outputs = batch
    images = torch.from_numpy(inputs["images"]).permute(0, 3, 1, 2).contiguous(memory_format=layout)
    rois = torch.from_numpy(inputs["rois"])
    labels = torch.from_numpy(outputs["cls_score"])
    targets = torch.from_numpy(outputs["bbox_pred"])[..., 1:]

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "mixed_bfloat16"):
            cls_score, deltas = model(images, rois)
        value = loss(cls_score, deltas, labels, targets)
        optimizer.zero_grad(set_to_none=True)
        value.backward()
        optimizer.step()
        value.item()

    return step


def serve(pipe: Connection, threads: int, *arguments) -> None:
    """Make steps for as long as there are questions; `arguments` are those of `training_step`."""
    answer_steps(pipe, training_step(*arguments, threads))


def _by_channel(values, n):
    """[N * R, C, 7, 7] as [N, C, R * 49]."""
    return values.unflatten(0, (n, -1)).transpose(1, 2).flatten(2)
