"""``python -m keras_resnets`` is ``keras-resnets``."""

from keras_resnets.cli import main

main()
