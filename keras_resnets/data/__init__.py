"""TensorFlow Datasets in, batches of raw images out."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "augmentation": ["Augmentation"],
        "checking": ["check_data"],
        "digits": ["KerasResnetsDigits"],
        "images": ["ImageData"],
        "load": ["load_data"],
        "settings": ["DataSettings"],
    },
)
