"""Packages of the distribution; every other fact is in pyproject.toml.

The search lives in the top-level folder ``tuning/`` and installs as ``keras_resnets.tuning``.
"""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["keras_resnets", "keras_resnets.*"]), "keras_resnets.tuning"],
    package_dir={"keras_resnets": "keras_resnets", "keras_resnets.tuning": "tuning"},
)
