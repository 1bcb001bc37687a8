"""Functions from models, configurations and histories to figures and tables."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "comparison": ["compare_runs", "plot_runs", "setting_differences"],
        "drawing": ["draw_network"],
        "figures": ["plot_candidates", "plot_history"],
        "runs": ["Run", "read_run", "read_runs"],
    },
)
