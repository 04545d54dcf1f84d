"""SGD as Caffe does it: decay coupled with the gradient, twice the rate on biases."""

import keras
import tensorflow as tf

from keras_frcnn.errors import InputError


@keras.saving.register_keras_serializable(package="keras_frcnn")
class SGD(keras.optimizers.SGD):
    """SGD with momentum and the update of the paper's solver (section 2.3).

        v = momentum * v - rate * (gradient + decay * w)
        w = w + v

    where `rate` is doubled for biases. Unlike the `weight_decay` of Keras optimizers, which is
    decoupled, the decay here passes through the momentum.

    Args:
        learning_rate: the paper's 0.001; `StepDecay` lowers it.
        momentum: the paper's 0.9.
        l2: the decay factor, the paper's 0.0005.
        bias_rate: factor on the rate of biases, the paper's 2.
        bias_decay: whether biases decay (paper: yes; its released code: no).
        **kwargs: more arguments of Keras's SGD, such as `clipnorm`.

    Raises:
        InputError: `nesterov` or `weight_decay` is given, which this update has not.
    """

    def __init__(
        self,
        learning_rate: float = 0.001,
        momentum: float = 0.9,
        l2: float = 0.0005,
        bias_rate: float = 2.0,
        bias_decay: bool = True,
        name: str = "sgd",
        **kwargs,
    ):
        if kwargs.pop("nesterov", False):
            raise InputError("nesterov: the update of this SGD is Caffe's, without; leave it out")
        if kwargs.pop("weight_decay", None) is not None:
            raise InputError(
                "weight_decay: the decay of this SGD is coupled with the gradient; give it as l2"
            )
        super().__init__(learning_rate=learning_rate, momentum=momentum, name=name, **kwargs)
        self.l2 = l2
        self.bias_rate = bias_rate
        self.bias_decay = bias_decay
        # For `gradient_norms`. No state of the training, so not made by `add_variable`.
        self._is_measured = False
        self._measured = tf.Variable(False, trainable=False)  # the same for the graph

    def build(self, variables):
        """Make the momentum of each variable."""
        super().build(variables)
        with tf.init_scope():
            self._squared_norms = [tf.Variable(0.0, trainable=False) for _ in variables]

    def measure_gradients(self, on: bool) -> None:
        """Whether `gradient_norms` shall know the steps from now on.

        Measuring reads all gradients once more: an eighth of what the update itself takes.
        """
        if on != self._is_measured:
            self._is_measured = on
            self._measured.assign(on)

    def gradient_norms(self) -> dict[str, float]:
        """The Euclidean norm of the last measured gradient of each variable, by its path.

        It is the gradient of the loss, without weight decay; zero before the first measurement.
        """
        return {
            variable.path: float(tf.sqrt(squared_norm))
            for variable, squared_norm in zip(
                self._trainable_variables, self._squared_norms, strict=True
            )
        }

    def update_step(self, gradient, variable, learning_rate):
        """Update one variable in place."""
        index = self._get_variable_index(variable)
        squared_norm = self._squared_norms[index]
        # All numbers or none; a `tf.cond` for each variable takes ten times as long to trace.
        numbers = tf.reshape(gradient, [-1])
        numbers = numbers[: tf.where(self._measured, tf.size(numbers), 0)]
        measured = tf.cast(2 * tf.nn.l2_loss(numbers), tf.float32)
        squared_norm.assign(tf.where(self._measured, measured, squared_norm))
        is_bias = self._trainable_variables[index].path.endswith("/bias")
        rate = tf.cast(learning_rate, variable.dtype)
        if is_bias:
            rate *= self.bias_rate
        if self.l2 and (self.bias_decay or not is_bias):
            gradient += self.l2 * variable
        if not self.momentum:  # for which Keras keeps no momenta
            tf.raw_ops.ResourceApplyGradientDescent(var=variable.handle, alpha=rate, delta=gradient)
            return
        # One pass over memory instead of five: with the 100 million weights of fc6 the update
        # is bound by memory bandwidth.
        tf.raw_ops.ResourceApplyKerasMomentum(
            var=variable.handle,
            accum=self.momentums[index].value.handle,
            lr=rate,
            grad=gradient,
            momentum=tf.constant(self.momentum, variable.dtype),
        )

    def get_config(self):
        """Return what recreates the optimizer."""
        config = super().get_config()
        del config["nesterov"], config["weight_decay"]
        return {
            **config,
            "l2": self.l2,
            "bias_rate": self.bias_rate,
            "bias_decay": self.bias_decay,
        }
