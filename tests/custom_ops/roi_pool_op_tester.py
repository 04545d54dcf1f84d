"""Tests of the TensorFlow implementations: those of every implementation, and graphs."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from keras_frcnn.custom_ops.cases import all_cases, random_features, random_rois, same_bits
from keras_frcnn.custom_ops.reference import roi_pool_reference
from tests.custom_ops.roi_pool_tester import RoIPoolTester, case_ids


class RoIPoolOpTester(RoIPoolTester):
    """Subclasses define `roi_pool`, with the arguments and results of `custom_ops.roi_pool`."""

    def roi_pool(self, features, rois, pooled_height, pooled_width, spatial_scale):
        raise NotImplementedError

    def pool(self, *arguments):
        output, argmax = self.roi_pool(*arguments)
        return output.numpy(), argmax.numpy()

    def gradient(self, features, *rest):
        *arguments, grad_output = rest
        features = tf.constant(features)
        with tf.GradientTape() as tape:
            tape.watch(features)
            output, _ = self.roi_pool(features, *arguments)
        return tape.gradient(output, features, grad_output).numpy()

    @classmethod
    @functools.cache  # tracing the portable version takes long
    def function(cls, *arguments):
        """A traced function of features and rois whose dimensions are unknown."""
        signature = [tf.TensorSpec([None] * 4), tf.TensorSpec([None, 5])]
        return tf.function(
            lambda features, rois: cls().roi_pool(features, rois, *arguments),
            input_signature=signature,
            autograph=False,
        )

    @pytest.mark.parametrize("case", all_cases()[::4] + all_cases()[-14:-12], ids=case_ids)
    def test_graph_with_unknown_dimensions(self, case):
        rois, *arguments = case.arguments
        function = self.function(*arguments)
        assert same_bits(
            function(case.features, rois)[0].numpy(),
            roi_pool_reference(case.features, *case.arguments)[0],
        )

    def test_graph_of_one_result(self):
        # A graph drops what it does not use; each result must be right without the other.
        features, rois = random_features((2, 9, 9, 5)), random_rois(6, 2, 144, 144)
        expected = roi_pool_reference(features, rois, 7, 7, 1 / 16)
        for index in (0, 1):
            function = tf.function(
                lambda f, r, index=index: self.roi_pool(f, r, 7, 7, 1 / 16)[index], autograph=False
            )
            assert same_bits(function(features, rois).numpy(), expected[index])

    def test_gradient_in_a_graph(self):
        features, rois = random_features((2, 9, 9, 5)), random_rois(6, 2, 144, 144)
        grad_output = random_features((6, 3, 3, 5), seed=1)
        inside = tf.function(lambda f, r: self.gradient_tensor(f, r, grad_output), autograph=False)
        expected = self.gradient(features, rois, 3, 3, 1 / 16, grad_output)
        np.testing.assert_allclose(inside(features, rois), expected, rtol=1e-6)
        # A function that was traced without a tape, and is differentiated from outside.
        function = self.function(3, 3, 1 / 16)
        features = tf.constant(features)
        with tf.GradientTape() as tape:
            tape.watch(features)
            output, _ = function(features, rois)
        outside = tape.gradient(output, features, grad_output)
        np.testing.assert_allclose(outside, expected, rtol=1e-6)

    def gradient_tensor(self, features, rois, grad_output):
        with tf.GradientTape() as tape:
            tape.watch(features)
            output, _ = self.roi_pool(features, rois, 3, 3, 1 / 16)
        return tape.gradient(output, features, grad_output)

    def test_rois_get_no_gradient(self):
        rois = tf.constant(random_rois(3, 1, 64, 64))
        with tf.GradientTape() as tape:
            tape.watch(rois)
            output, _ = self.roi_pool(tf.ones([1, 4, 4, 2]), rois, 2, 2, 1 / 16)
        assert tape.gradient(output, rois) is None

    @pytest.mark.parametrize(
        ("features", "rois"),
        [
            ([4, 4, 1], [2, 5]),
            ([1, 4, 4, 1, 1], [2, 5]),
            ([1, 4, 4, 1], [5]),
            ([1, 4, 4, 1], [2, 4]),
        ],
    )
    def test_wrong_ranks(self, features, rois):
        with pytest.raises(self.error, match=r"must be \["):
            self.roi_pool(tf.zeros(features), tf.zeros(rois), 2, 2, 1.0)

    def test_sizes_that_overflow(self):
        with pytest.raises(self.error, match="pooled size"):
            self.roi_pool(tf.zeros([1, 2, 2, 1]), tf.zeros([1, 5]), 1 << 20, 1 << 20, 1.0)
        with pytest.raises(self.error, match="cells"):
            self.roi_pool(tf.zeros([0, 1 << 16, 1 << 16, 0]), tf.zeros([0, 5]), 2, 2, 1.0)

    def test_bad_attributes(self):
        for size, scale in [((0, 7), 1.0), ((7, -1), 1.0), ((7, 7), 0.0), ((7, 7), np.nan)]:
            with pytest.raises(self.error, match="must be"):
                self.roi_pool(tf.zeros([1, 2, 2, 1]), tf.zeros([1, 5]), *size, scale)

    def test_error_in_a_graph(self):
        function = self.function(2, 2, 1.0)
        with pytest.raises(self.error, match=r"(?s)row.*1.*finite"):
            function(tf.zeros([1, 4, 4, 1]), [[0, 0, 0, 1, 1], [0, np.nan, 0, 1, 1]])
