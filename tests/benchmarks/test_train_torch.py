"""That the step in PyTorch is one of the same network, or the comparison would mean nothing."""

import numpy as np
import pytest
import tensorflow as tf

from keras_frcnn.benchmarks.turns import STEP, Program
from keras_frcnn.custom_ops.reference import roi_pool_grad_reference, roi_pool_reference
from keras_frcnn.models.fast_rcnn import FastRCNN
from keras_frcnn.models.losses import BoxRegressionLoss, ClassificationLoss

torch = pytest.importorskip("torch", reason="PyTorch is not installed: the extra 'bench'")
train_torch = pytest.importorskip("keras_frcnn.benchmarks.train_torch")

RNG = np.random.default_rng(0)
K = 3
# Inside the images: beyond their edge PyTorch's bins would differ.
ROIS = np.float32(
    [
        [[0, 0, 71, 55], [16, 16, 33, 49], [40, 8, 71, 40]],
        [[8, 8, 8, 8], [0, 32, 60, 55], [5, 0, 64, 20]],
    ]
)


@pytest.fixture(scope="module")
def models():
    ours = FastRCNN(map(str, range(K)), "vgg16", None, (0, 1), dropout=0, finetune_from="conv3_1")
    for layer in ours.layers:
        if hasattr(layer, "bias") and layer.bias is not None:
            layer.bias.assign(RNG.normal(size=layer.bias.shape, scale=0.1))
    theirs = train_torch.FastRCNN(K, dropout=0)
    names = [name for name, _ in theirs.named_children()]
    theirs.load_keras_weights({name: ours.get_layer(name).get_weights() for name in names})
    return ours, theirs


def as_nchw(images):
    return torch.from_numpy(images).permute(0, 3, 1, 2)


def test_same_parameters_trained_and_frozen(models):
    ours, theirs = models
    parameters = list(theirs.parameters())
    trained = [p for p in parameters if p.requires_grad]
    # The mean and deviation of the box targets are no parameters in PyTorch's.
    assert sum(p.numel() for p in trained) == sum(w.numpy().size for w in ours.trainable_weights)
    assert sum(p.numel() for p in parameters) == sum(
        w.numpy().size for w in ours.weights if w.path.split("/")[-1] in ("kernel", "bias")
    )


def test_same_outputs_loss_and_gradients_with_the_same_weights(models):
    ours, theirs = models
    images = RNG.normal(size=(2, 64, 80, 3), scale=58).astype(np.float32)
    labels = np.int32([[1, 0, 3], [0, 2, 0]])
    targets = RNG.normal(size=(2, 3, 4)).astype(np.float32) * (labels > 0)[..., None]
    rows = np.concatenate([labels[..., None].astype(np.float32), targets], axis=-1)

    with tf.GradientTape() as tape:
        outputs = ours({"images": images, "rois": ROIS}, training=True)
        our_loss = ClassificationLoss()(labels, outputs["cls_score"]) + BoxRegressionLoss(
            np.ones((K, 4))
        )(rows, outputs["bbox_pred"])
    kernels = [ours.get_layer(name).kernel.value for name in ("block3_conv1", "fc7")]
    our_gradients = tape.gradient(our_loss, kernels)

    cls_score, deltas = theirs(as_nchw(images), torch.from_numpy(ROIS))
    their_loss = train_torch.loss(
        cls_score, deltas, torch.from_numpy(labels), torch.from_numpy(targets)
    )
    their_loss.backward()

    def close(ours, theirs):
        np.testing.assert_allclose(
            theirs.detach().numpy(), ours, atol=1e-4 * np.abs(ours).max(), rtol=1e-3
        )

    close(outputs["cls_score"].numpy(), cls_score)
    close(outputs["bbox_pred"].numpy(), deltas)
    assert their_loss.item() == pytest.approx(float(our_loss), rel=1e-5)
    close(our_gradients[0].numpy(), theirs.block3_conv1.weight.grad.permute(2, 3, 1, 0))
    close(our_gradients[1].numpy(), theirs.fc7.weight.grad.T)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_roi_pooling_and_its_gradient_by_definition(layout):
    features = RNG.permutation(2 * 4 * 5 * 6).reshape(2, 4, 5, 6).astype(np.float32)
    grad_output = RNG.normal(size=(6, 7, 7, 6)).astype(np.float32)
    flat = np.concatenate([np.repeat([[0], [1]], 3, axis=0), ROIS.reshape(-1, 4)], axis=1)
    flat = flat.astype(np.float32)
    expected, argmax = roi_pool_reference(features, flat, 7, 7, 1 / 16)
    expected_grad = roi_pool_grad_reference(grad_output, argmax, flat, features.shape)

    x = as_nchw(features).contiguous(memory_format=layout).requires_grad_()
    pooled = train_torch.RoIPool.apply(x, torch.from_numpy(ROIS))
    pooled.backward(torch.from_numpy(grad_output).permute(0, 3, 1, 2))
    np.testing.assert_array_equal(pooled.detach().permute(0, 2, 3, 1), expected)
    np.testing.assert_allclose(x.grad.permute(0, 2, 3, 1), expected_grad, atol=1e-5)


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_makes_steps_when_asked(precision):
    labels = np.int32([[1, 0, 3], [0, 2, 0]])
    batch = (
        {"images": np.zeros((2, 64, 80, 3), np.float32), "rois": ROIS},
        {"cls_score": labels, "bbox_pred": np.zeros((2, 3, 5), np.float32)},
    )
    channels_last = precision == "float32"
    program = Program("keras_frcnn.benchmarks.train_torch", 1, batch, K, precision, channels_last)
    try:
        wall, processor = program.ask(STEP)
    finally:
        program.close()
    assert 0 < processor < wall * 1.5  # on one processor
