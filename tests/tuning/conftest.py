import pytest

from keras_resnets.tuning import SearchSpace


@pytest.fixture(scope="session")
def tiny_space():
    """Candidates that train in a second."""
    return SearchSpace(
        blocks=("basic",), blocks_per_stage=(1,), widths=(4, 8), final_survivals=(1.0,)
    )
