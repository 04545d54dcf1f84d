"""Keras as this package has it; importing this module sets it up.

The process is ours, whatever the user's Keras is set up for.
"""

import keras

keras.config.set_image_data_format("channels_last")
keras.config.set_floatx("float32")
