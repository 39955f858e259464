"""CPU-seconds that RecBole's SASRec takes for an epoch; run by an interpreter that has RecBole.

    python recbole_epoch.py EVENTS_CSV BATCHES

Prints one JSON line: CPU-seconds of BATCHES training batches after a first that warms up, scaled to
all batches of an epoch. Hyperparameters are those of the public rerun on Amazon Beauty
(github.com/kanishkaRandunu/pswrec2k26, configs/beauty/beauty_SASRec.yaml).
"""

import json
import os
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd
import torch

_SETTINGS = {
    "USER_ID_FIELD": "user_id",
    "ITEM_ID_FIELD": "item_id",
    "TIME_FIELD": "timestamp",
    "load_col": {"inter": ["user_id", "item_id", "timestamp"]},
    "MAX_ITEM_LIST_LENGTH": 50,
    "eval_args": {
        "split": {"LS": "valid_and_test"},
        "group_by": "user",
        "order": "TO",
        "mode": "full",
    },
    "train_neg_sample_args": None,
    "loss_type": "CE",
    "hidden_size": 64,
    "inner_size": 256,
    "n_layers": 2,
    "n_heads": 2,
    "hidden_dropout_prob": 0.5,
    "attn_dropout_prob": 0.5,
    "train_batch_size": 128,
    "learning_rate": 0.001,
    "device": "cpu",
    "use_gpu": False,
    "show_progress": False,
}


def main(events_csv: str, batches: int) -> None:
    """Time the batches of one epoch."""
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    from recbole.config import Config
    from recbole.data import create_dataset, data_preparation
    from recbole.utils import get_model

    events = pd.read_csv(events_csv, usecols=["user_id", "item_id", "timestamp"], dtype=str)
    events["timestamp"] = events["timestamp"].astype("int64")
    events = events.sort_values(["user_id", "timestamp"], kind="stable")
    events["timestamp"] = events.groupby("user_id").cumcount()  # it keeps times as float32
    events.columns = ["user_id:token", "item_id:token", "timestamp:float"]
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "data").mkdir()
        events.to_csv(f"{folder}/data/data.inter", sep="\t", index=False)
        sys.argv = sys.argv[:1]  # it reads them
        settings = {**_SETTINGS, "data_path": folder, "checkpoint_dir": folder}
        config = Config(model="SASRec", dataset="data", config_dict=settings)
        train, _, _ = data_preparation(config, dataset := create_dataset(config))
        model = get_model("SASRec")(config, dataset)
        optimizer = torch.optim.Adam(model.parameters(), lr=config["learning_rate"])
        started, done = 0.0, -1
        for batch in train:
            optimizer.zero_grad()
            model.calculate_loss(batch).backward()
            optimizer.step()
            done += 1
            if done == 0:
                started = time.process_time()
            if done == batches:
                break
        spent = time.process_time() - started
        seconds = spent / done * len(train)
        print(json.dumps({"batches": done, "of": len(train), "cpu_s_per_epoch": seconds}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
