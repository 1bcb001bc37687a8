"""How good a classifier is: models of any format run, measured, drawn, and asked about photos."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "confusion": ["Confusion", "read_evaluation"],
        "crops": ["CropPlan", "plan_crops", "ten_crops"],
        "figures": ["plot_calibration", "plot_confusion"],
        "metrics": ["Metrics", "classification_metrics"],
        "prediction": ["run_predict"],
        "program": ["run_evaluate"],
        "runtimes": ["Runnable", "open_model"],
        "scores": ["Scores"],
        "sheets": ["contact_sheet"],
    },
)
