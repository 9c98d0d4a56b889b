"""Where the workflow's files are, relative to the folder it runs in.

The rules name all files from here, and the programs their defaults.
"""

CHANGES_NO_RESULT = True

PHANTOM = "results/phantom"
SUBSET_TABLE = "results/verify/subset{subset}.csv"
PROBLEMS = "verify/problems.txt"
SERIES = "results/series.csv"
PROPOSALS = "results/proposals/subset{subset}.csv"
VERIFICATION = "results/verification.json"
CANDIDATES = "results/candidates.csv"
LISTING = "results/candidates.json"
CROPS = "results/cache/crops"
CACHED_SUBSET = "results/cache/subset{subset}.json"
FOLD = "results/runs/{run}/fold{fold}"
MODEL = f"{FOLD}/model.pt"
HISTORY = f"{FOLD}/history.csv"
STATE = f"{FOLD}/state"
PREDICTIONS = f"{FOLD}/predictions.csv"
EVALUATION = f"{FOLD}/evaluation.json"
ONNX = f"{FOLD}/model.onnx"
CARD = f"{FOLD}/model_card.md"
TENSORBOARD = "results/tensorboard"
METRICS = "results/metrics.csv"
SUMMARY = "results/summary.csv"
SUMMARY_RECORD = "results/summary.json"
REPORT = "results/report.html"
DOWNLOAD = "results/download.json"
LOG = "results/logs/{}.log"
BENCHMARK = "results/benchmarks/{}.tsv"
