"""Settings of the network that the accuracy studies compare: each changes one thing of the defaults."""

from m3fusion_sk import paper_settings

OURS = "ours"
PAPER = "paper's recipe, small"

ABLATION = {
    "without linear vote": {"linear_vote": 0},
    "without mixup": {"mixup": 0},
    "without linear path of series": {"linear_path": 0},
    "without linear path of patches": {"patch_path": 0},
    "with normalised features": {"feature_norm": True},
    "without embedding of dates": {"series_encoder": "gru", "date_embedding": None},
    "without flips and turns": {"augment": False},
    "without dropout": {"dropout": 0},
    "without auxiliary heads": {"alpha": 0},
    "with weight decay": {"weight_decay": 0.01},
    "with normalised features and weight decay": {"feature_norm": True, "weight_decay": 0.01},
    "without automatic epochs": {"max_epochs": 40},
    "without one-cycle": {"schedule": "constant", "lr": 2e-4},
}
ENCODERS = {"gru": {"series_encoder": "gru"}, "conv": {"series_encoder": "conv"}}
IMBALANCE = {"balanced class weights": {"class_weight": "balanced"}}

RECIPES = {OURS: {}, **ENCODERS, **IMBALANCE, **ABLATION}
SMALL = {**paper_settings(), "hidden_size": 64, "n_filters": 16, "stem": "auto"}  # trains as long as ours
