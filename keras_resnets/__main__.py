"""``python -m keras_resnets`` is ``keras-resnets``; see `search_path` on the current folder."""

from keras_resnets.cli import main

main()
