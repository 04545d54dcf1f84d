"""A depthwise convolution whose gradient is faster than TensorFlow's own on a CPU.

Shape letters: N images, H x W cells, C channels, k x k cells of the kernel.
"""

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="keras_frcnn")
class DepthwiseReLU6(keras.layers.DepthwiseConv2D):
    """Depthwise convolution with padding "same", then ReLU6: Keras's layer, trained faster.

    TensorFlow's gradient of a kernel is fast for 3 x 3 cells only: for 5 x 5 it takes 5 times as
    long in bfloat16 as four of 3 x 3, which is what is done here. Arguments, weights and results
    are those of `DepthwiseConv2D`.

    Args:
        kernel_size: k, 3 or 5.
        strides: one integer.
        dilation_rate: one integer; 1 where there are strides.
        **kw: more arguments of `DepthwiseConv2D`, but none that change what is computed.
    """

    def __init__(self, kernel_size, strides=1, dilation_rate=1, **kw):
        super().__init__(
            kernel_size,
            strides,
            dilation_rate=dilation_rate,
            padding="same",
            activation="relu6",
            **kw,
        )

    def call(self, x):
        """Map [N, H, W, C] to [N, H / stride, W / stride, C]."""
        kernel = tf.convert_to_tensor(self.kernel)
        bias = tf.convert_to_tensor(self.bias)
        rate = self.dilation_rate[0]
        if rate == 1:
            return tf.nn.relu6(tf.nn.bias_add(_depthwise(x, kernel, self.strides[0]), bias))
        # The cells that a kernel reaches lie on one of rate x rate grids: each grid is an image.
        height, width = tf.unstack(tf.shape(x)[1:3])
        odd = [[0, -height % rate], [0, -width % rate]]
        x = tf.space_to_batch(x, [rate, rate], odd)
        x = tf.nn.relu6(tf.nn.bias_add(_depthwise(x, kernel, 1), bias))
        return tf.batch_to_space(x, [rate, rate], odd)

    def get_config(self):
        """The constructor's arguments."""
        config = super().get_config()
        for fixed in ("padding", "activation", "use_bias", "depth_multiplier"):
            del config[fixed]
        return config


def _depthwise(x, kernel, stride):
    """Convolution with padding "same"."""
    strides = [1, stride, stride, 1]

    @tf.custom_gradient
    def convolve(x, kernel):
        y = tf.nn.depthwise_conv2d(x, kernel, strides, "SAME")

        def gradient(grad):
            grad_x = tf.raw_ops.DepthwiseConv2dNativeBackpropInput(
                input_sizes=tf.shape(x),
                filter=kernel,
                out_backprop=grad,
                strides=strides,
                padding="SAME",
            )
            return grad_x, _kernel_gradient(x, grad, kernel.shape, stride)

        return y, gradient

    return convolve(x, kernel)


def _kernel_gradient(x, grad, shape, stride):
    """The gradient of a kernel, [k, k, C, 1], from that of its convolution's result.

    Args:
        x: [N, H, W, C], what was convolved with padding "same".
        grad: [N, H / stride, W / stride, C].
        shape: k, k, C, 1.
        stride: of the convolution.
    """
    if shape[0] != 5 or stride != 1 or tf.config.list_physical_devices("GPU"):
        return tf.raw_ops.DepthwiseConv2dNativeBackpropFilter(
            input=x,
            filter_sizes=shape,
            out_backprop=grad,
            strides=[1, stride, stride, 1],
            padding="SAME",
        )
    # Four kernels of 3 x 3 make one of 6 x 6, whose last row and column are dropped.
    height, width = tf.unstack(tf.shape(x)[1:3])
    x = tf.pad(x, [[0, 0], [2, 3], [2, 3], [0, 0]])
    rows = [
        tf.concat(
            [
                tf.raw_ops.DepthwiseConv2dNativeBackpropFilter(
                    input=x[:, i : i + height + 2, j : j + width + 2],
                    filter_sizes=[3, 3, *shape[2:]],
                    out_backprop=grad,
                    strides=[1, 1, 1, 1],
                    padding="VALID",
                )
                for j in (0, 3)
            ],
            axis=1,
        )
        for i in (0, 3)
    ]
    return tf.concat(rows, axis=0)[:5, :5]
