import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_frcnn.custom_ops import portable_ops
from keras_frcnn.custom_ops.cases import random_features, random_rois, same_bits
from keras_frcnn.custom_ops.reference import roi_pool_reference
from keras_frcnn.models.layers import RoIPool, SpatialPyramidPool
from tests.custom_ops.roi_pool_tester import RoIPoolTester

SCALE = 1 / 16


class TestRoIPool(RoIPoolTester):
    """The layer, given the RoIs of each image in its own row."""

    def pool_tensor(self, features, rois, pooled_height, pooled_width, spatial_scale):
        # The rows of the test inputs are sorted into [N, R, 4]; a bad image index stays an error
        # of the op, which the layer's own indices cannot cause.
        layer = RoIPool((pooled_height, pooled_width), spatial_scale)
        boxes = np.broadcast_to(rois[:, 1:], (features.shape[0], len(rois), 4))
        pooled = layer(features, boxes)
        pooled = tf.reshape(pooled, tf.concat([[-1], tf.shape(pooled)[2:]], axis=0))
        return tf.gather(pooled, rois[:, 0].astype(int) * len(rois) + np.arange(len(rois)))

    def pool(self, features, *arguments):
        return self.pool_tensor(features, *arguments).numpy(), None

    def gradient(self, features, *rest):
        *arguments, grad_output = rest
        features = tf.constant(features)
        with tf.GradientTape() as tape:
            tape.watch(features)
            output = self.pool_tensor(features, *arguments)
        return tape.gradient(output, features, grad_output).numpy()

    test_image_out_of_range = None


def inputs(n=2, r=5, channels=4):
    features = random_features((n, 9, 12, channels))
    return features, random_rois(n * r, 1, 144, 192)[:, 1:].reshape(n, r, 4)


def expected_pool(features, rois, size=(7, 7)):
    n, r, _ = rois.shape
    rows = np.concatenate([np.repeat(np.arange(n), r)[:, None], rois.reshape(-1, 4)], axis=1)
    output, _ = roi_pool_reference(features, rows.astype(np.float32), *size, SCALE)
    return output.reshape(n, r, *size, features.shape[-1])


def test_every_image_has_its_own_rois():
    features, rois = inputs()
    assert same_bits(RoIPool(7, SCALE)(features, rois).numpy(), expected_pool(features, rois))


def test_static_shapes():
    pooled = RoIPool((2, 3), SCALE)(keras.Input((None, None, 8)), keras.Input((None, 4)))
    assert pooled.shape == (None, None, 2, 3, 8)
    pooled = RoIPool(7, SCALE)(keras.Input((9, 9, 8), 2), keras.Input((64, 4)))
    assert pooled.shape == (2, 64, 7, 7, 8)
    pooled = SpatialPyramidPool()(keras.Input((None, None, 8)), keras.Input((64, 4)))
    assert pooled.shape == (None, 64, 50 * 8)


def test_unknown_dimensions_in_a_function():
    @tf.function(input_signature=[tf.TensorSpec([None] * 4), tf.TensorSpec([None, None, 4])])
    def pool(features, rois):
        pooled = RoIPool(7, SCALE)(features, rois)
        assert pooled.shape.as_list() == [None, None, 7, 7, None]
        return pooled

    for n, r in [(2, 5), (1, 3), (2, 0)]:
        features, rois = inputs(n, r)
        assert same_bits(pool(features, rois).numpy(), expected_pool(features, rois))


@pytest.fixture
def mixed_bfloat16():
    keras.config.set_dtype_policy("mixed_bfloat16")
    yield
    keras.config.set_dtype_policy("float32")


def functional_model(make_layer):
    images, rois = keras.Input((None, None, 3), name="images"), keras.Input((None, 4), name="rois")
    features = keras.layers.Conv2D(4, 1, strides=16, name="trunk")(images)
    return keras.Model({"images": images, "rois": rois}, make_layer()(features, rois))


def batch():
    rois = np.float32(
        [[[8.25, 8.25, 200.25, 120], [0, 0, 0, 0]], [[24, 24, 120, 120], [1, 2, 3, 4]]]
    )
    images = np.random.default_rng(0).normal(size=(2, 144, 208, 3)).astype(np.float32)
    return {"images": images, "rois": rois}


def test_mixed_precision_keeps_the_coordinates(mixed_bfloat16):
    model = functional_model(lambda: RoIPool(7, SCALE))
    data = batch()
    data["rois"][0, 0] = [0, 0, 168.01, 130]  # 168 / 16 is 10.5, and bfloat16 has no 168.01
    data["rois"][0, 1] = [0, 0, 167.9, 130]
    features = keras.Model(model.inputs, model.get_layer("trunk").output)(data)
    for pooled in (model(data), model.predict(data, verbose=0)):
        assert pooled.dtype == tf.bfloat16
        expected = expected_pool(features.numpy(), data["rois"])
        assert same_bits(np.asarray(pooled), expected)


@pytest.mark.parametrize(
    "make_layer",
    [lambda: RoIPool((3, 2), SCALE), lambda: SpatialPyramidPool((1, 3), 1 / 8)],
    ids=["RoIPool", "SpatialPyramidPool"],
)
def test_saving_round_trip(make_layer, tmp_path):
    model = functional_model(make_layer)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.layers[-1].get_config() == model.layers[-1].get_config()
    np.testing.assert_array_equal(loaded(batch()), model(batch()))


def test_training_without_jit():
    model = functional_model(lambda: RoIPool(2, SCALE))
    assert not model.layers[-1].supports_jit
    model.compile("sgd", "mse")
    assert model.jit_compile is False
    before = model.get_layer("trunk").get_weights()[0]
    history = model.fit(batch(), np.ones((2, 2, 2, 2, 4), np.float32), epochs=3, verbose=0)
    losses = history.history["loss"]
    assert losses[-1] < losses[0]
    assert not np.array_equal(model.get_layer("trunk").get_weights()[0], before)


def test_portable_ops_in_a_model():
    model = functional_model(lambda: RoIPool(2, SCALE))
    data = {name: tf.constant(value) for name, value in batch().items()}
    model(data)
    with portable_ops():
        function = tf.function(model).get_concrete_function(data)
    assert not any("KerasFrcnn" in op.type for op in function.graph.get_operations())
    np.testing.assert_array_equal(function(data), model(data))


def test_pyramid_is_its_levels_one_after_another():
    features, rois = inputs()
    levels = [
        expected_pool(features, rois, (level, level)).reshape(2, 5, -1) for level in (1, 2, 3, 6)
    ]
    pooled = SpatialPyramidPool((1, 2, 3, 6), SCALE)(features, rois)
    assert same_bits(pooled.numpy(), np.concatenate(levels, axis=2))


def test_gradient_reaches_the_features_through_every_level():
    features, rois = inputs()
    features = tf.constant(features)
    grads = []
    for layer in (SpatialPyramidPool((1, 3), SCALE), RoIPool(1, SCALE), RoIPool(3, SCALE)):
        with tf.GradientTape() as tape:
            tape.watch(features)
            total = tf.reduce_sum(layer(features, rois))
        grads.append(tape.gradient(total, features).numpy())
    np.testing.assert_allclose(grads[0], grads[1] + grads[2])


def test_a_bad_coordinate_is_an_error():
    features, rois = inputs()
    rois[1, 2, 3] = np.nan
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"row.*7"):
        RoIPool(7, SCALE)(features, rois)


@pytest.mark.parametrize("layer", [RoIPool(2, SCALE), SpatialPyramidPool((1, 2), SCALE)])
@pytest.mark.parametrize("images", [1, 3])
def test_rois_of_another_number_of_images_are_an_error_that_names_both(layer, images):
    features, _ = inputs(n=2)
    rois = np.zeros((images, 4, 4), np.float32)
    signature = [tf.TensorSpec([None] * 4), tf.TensorSpec([None] * 3)]
    message = rf"numbers of images:\D+{images}\D+2\b"
    for call in (layer, tf.function(layer, input_signature=signature)):
        with pytest.raises(tf.errors.InvalidArgumentError, match=message):
            call(features, rois)
