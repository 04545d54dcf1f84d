"""Convolutions that are faster on a CPU than Keras's own, with the same weights and results.

Shape letters: N images, H x W cells, C channels in, F filters, kh x kw cells of the kernel.
"""

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="keras_frcnn")
class ConvReLU2D(keras.layers.Conv2D):
    """Convolution with stride 1 and padding "same", then ReLU: Keras's `Conv2D`, trained faster.

    oneDNN's gradient of the kernel takes twice the time of a matrix product of as many
    operations, and was a third of a training step of VGG16. Here it is kh * kw such products.
    Arguments, weights and results are those of `Conv2D`.

    Args:
        filters: F.
        kernel_size: kh, kw, odd; or one integer.
        **kw: more arguments of `Conv2D`, but none that change what is computed.
    """

    def __init__(self, filters: int, kernel_size: int | tuple[int, int], **kw):
        super().__init__(filters, kernel_size, padding="same", activation="relu", **kw)

    def call(self, inputs):
        """Map [N, H, W, C] to [N, H, W, F]."""
        return _conv_relu(self.name)(
            inputs, tf.convert_to_tensor(self.kernel), tf.convert_to_tensor(self.bias)
        )

    def get_config(self):
        """The constructor's arguments."""
        config = super().get_config()
        for fixed in ("strides", "padding", "activation", "dilation_rate", "groups", "use_bias"):
            del config[fixed]
        return config


@keras.saving.register_keras_serializable(package="keras_frcnn")
class ChannelwiseConv2D(keras.layers.Conv2D):
    """A convolution of every channel by itself: `Conv2D` with as many groups as channels.

    On a CPU Keras has grouped convolutions compiled by XLA, anew for every size of image. This one
    is computed as `DepthwiseConv2D` is, whose kernel has its axes in another order. Arguments,
    weights and results are those of `Conv2D`.
    """

    def call(self, inputs):
        """Map [N, H, W, C] to [N, H, W, C]."""
        return keras.ops.add(
            keras.ops.depthwise_conv(
                inputs,
                keras.ops.transpose(self.kernel, (0, 1, 3, 2)),
                self.strides,
                self.padding,
                dilation_rate=self.dilation_rate,
            ),
            self.bias,
        )


def _conv_relu(name: str):
    """The convolution, bias and ReLU of a layer of that name, with their gradient."""

    @tf.custom_gradient
    def conv_relu(x, kernel, bias):
        # The three ops stay next to each other in the graph, where TensorFlow makes them one.
        y = tf.nn.relu(tf.nn.bias_add(tf.nn.conv2d(x, kernel, 1, "SAME"), bias))

        def gradient(grad_y):
            # A name for the profiler: Keras's names of layers do not reach here.
            with tf.name_scope(f"conv_relu_gradient/{name}"):
                grad = tf.raw_ops.ReluGrad(gradients=grad_y, features=y)
                grad_x = tf.raw_ops.Conv2DBackpropInput(
                    input_sizes=tf.shape(x),
                    filter=kernel,
                    out_backprop=grad,
                    strides=[1, 1, 1, 1],
                    padding="SAME",
                )
                grad_kernel = kernel_gradient(x, grad, kernel.shape)
                return grad_x, grad_kernel, tf.raw_ops.BiasAddGrad(out_backprop=grad)

        return y, gradient

    return conv_relu


def kernel_gradient(x: tf.Tensor, grad: tf.Tensor, shape: tf.TensorShape) -> tf.Tensor:
    """The gradient of a kernel, [kh, kw, C, F], from that of its convolution's result.

    Args:
        x: [N, H, W, C], what was convolved.
        grad: [N, H, W, F].
        shape: kh, kw, C, F; kh and kw odd.
    """
    kh, kw, channels, filters = shape
    if tf.config.list_physical_devices("GPU"):  # where cuDNN's kernels need no help
        return tf.raw_ops.Conv2DBackpropFilter(
            input=x,
            filter_sizes=shape,
            out_backprop=grad,
            strides=[1, 1, 1, 1],
            padding="SAME",
        )
    height, width = tf.unstack(tf.shape(x)[1:3])
    padded = tf.pad(x, [[0, 0], [kh // 2, kh // 2], [kw // 2, kw // 2], [0, 0]])
    grad = tf.reshape(grad, [-1, filters])
    products = [
        tf.matmul(
            tf.reshape(padded[:, i : i + height, j : j + width], [-1, channels]),
            grad,
            transpose_a=True,
        )
        for i in range(kh)
        for j in range(kw)
    ]
    return tf.reshape(tf.stack(products), shape)
