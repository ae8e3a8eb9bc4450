"""Forecasts of real series against the last season and AutoETS: error, coverage, time and size.

    python bench/forecast.py --quick    # 5 series, 8 origins each, 40 s a model
    python bench/forecast.py --full     # 7 series, 30 origins each, 60 s a model

The series are weather and fine dust in Beijing, hourly (24 steps ahead) and as means of days (14 steps ahead). Lepton
learns once from what lies before the first origin and then forecasts every origin from the history up to it; AutoETS
(statsforecast) is fitted anew at every origin on the same last steps, as it is meant to be used, with the same season
and gaps filled by the last value. The last season stands where each step is that of one season (24 or 7 steps)
before. Errors are in units of the mean absolute change over a season before the first origin (MASE), with a 95 %
interval of the paired difference over origins. Origins are spread evenly over the last tenth. The coverage of Lepton's
intervals is of 200 origins there, that of AutoETS of the origins of the errors, because it is fitted anew at each.
statsforecast runs in an environment of its own that this file makes with uv; where it cannot be made, that column says
so.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl
from peers.environments import interpreter

import lepton

SHARED = Path(__file__).parents[2] / "shared" / "data" / "timeseries" / "beijing_pm25.csv"
HISTORY = 24 * 60
PEER = """
import json, sys, time, warnings
import numpy as np
warnings.simplefilter("ignore")
from statsforecast.models import AutoETS
given = json.load(open(sys.argv[1]))
out, start = [], time.perf_counter()
for history in given["histories"]:
    model = AutoETS(season_length=given["season"])
    found = model.forecast(np.array(history), given["horizon"], level=[90])
    out.append([found["mean"].tolist(), found["lo-90"].tolist(), found["hi-90"].tolist()])
json.dump({"forecasts": out, "seconds": (time.perf_counter() - start) / len(out)}, open(sys.argv[2], "w"))
"""


def series_of(quick):
    air = pl.read_csv(SHARED, null_values="NA", infer_schema_length=None)
    air = air.with_columns(when=pl.datetime("year", "month", "day", "hour")).rename({"pm2.5": "PM25"})
    days = air.group_by_dynamic("when", every="1d").agg(pl.col("PM25", "TEMP", "PRES", "DEWP").mean())
    hourly = [("TEMP", ["DEWP", "PRES"]), ("PM25", ["DEWP", "TEMP", "PRES", "Iws"]), ("PRES", [])]
    daily = [("TEMP", ["DEWP", "PRES"]), ("PM25", ["TEMP", "PRES"])]
    if not quick:
        hourly.append(("DEWP", ["TEMP", "PRES"]))
        daily.append(("DEWP", ["TEMP"]))
    for target, others in hourly:
        frame = air.select("when", target, *others)
        yield f"{target}, hourly", frame.slice(frame.height - 12_000) if quick else frame, target, 24, 24
    for target, others in daily:
        yield f"{target}, daily", days.select("when", target, *others), target, 7, 14


def of_peer(python, scratch, values, origins, season, horizon):
    filled = pl.Series(values).fill_nan(None).forward_fill().backward_fill().to_numpy()
    histories = [filled[max(0, origin - HISTORY) : origin].tolist() for origin in origins]
    (scratch / "peer.py").write_text(PEER)
    (scratch / "in.json").write_text(json.dumps({"histories": histories, "season": season, "horizon": horizon}))
    done = subprocess.run(
        [python, scratch / "peer.py", scratch / "in.json", scratch / "out.json"],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        return None, done.stderr.strip()[-200:]
    found = json.loads((scratch / "out.json").read_text())
    return np.array(found["forecasts"]), found["seconds"]


def of_lepton(frame, target, origins, horizon, within, scratch):
    path = scratch / "m.lepton"
    start = time.perf_counter()
    past = frame.head(origins[0])
    model = lepton.train(past, target=target, task="forecast", time="when", horizon=horizon, within=within, output=path)
    seconds = time.perf_counter() - start
    found = forecasts(model, frame, origins)
    known = frame[target].cast(pl.Float64).fill_null(np.nan).to_numpy()
    many = np.linspace(origins[0], origins[-1], 200).astype(int).tolist()
    share = covered(forecasts(model, frame, many), np.array([known[origin : origin + horizon] for origin in many]))
    chosen = next(row for row in model.leaderboard().rows if row.chosen)
    return found, share, seconds, path.stat().st_size, chosen.predict_us, f"{chosen.learner}: {chosen.configuration}"


def forecasts(model, frame, origins):
    """Forecast, lower and upper end of every step ahead of each origin."""
    answers = [model.predict(frame.slice(max(0, origin - HISTORY), min(origin, HISTORY))) for origin in origins]
    return np.array([[answer[name].to_numpy() for name in ("forecast", "lower", "upper")] for answer in answers])


def paired(first, second, seed=0):
    """Mean difference of errors over origins, with its 95 % interval."""
    difference = np.nanmean(first - second, axis=1)
    draws = np.random.default_rng(seed).integers(0, len(difference), (2_000, len(difference)))
    lower, upper = np.nanpercentile(np.nanmean(difference[draws], axis=1), [2.5, 97.5])
    return f"{np.nanmean(difference):+.3f} ({lower:+.3f} to {upper:+.3f})"


def covered(found, truth):
    known = ~np.isnan(truth)
    inside = (truth >= found[:, 1]) & (truth <= found[:, 2])
    return inside[known].mean()


def main(quick):
    if not SHARED.exists():
        print("SKIPPED: the shared data is not here")
        return
    count, within = (8, "40s") if quick else (30, "60s")
    print(
        "| series | naive | AutoETS | Lepton | Lepton - naive | Lepton - AutoETS | coverage of 90 %: AutoETS, Lepton |"
        " AutoETS s an origin | Lepton train s, µs, kB | chosen |"
    )
    print("|---|--:|--:|--:|---|---|---|--:|---|---|")
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        python, reason = interpreter("statsforecast", ["statsforecast"])
        if python is None:
            print(f"statsforecast: SKIPPED, its environment cannot be made: {reason}")
        for label, frame, target, season, horizon in series_of(quick):
            values = frame[target].cast(pl.Float64).fill_null(np.nan).to_numpy()
            origins = np.linspace(len(values) * 9 // 10, len(values) - horizon, count).astype(int).tolist()
            truth = np.array([values[origin : origin + horizon] for origin in origins])
            scale = np.nanmean(np.abs(values[season : origins[0]] - values[: origins[0] - season]))
            filled = pl.Series(values).fill_nan(None).forward_fill().to_numpy()
            naive = np.array([filled[o - season + np.arange(horizon) % season] for o in origins])
            found, share, seconds, size, micros, chosen = of_lepton(frame, target, origins, horizon, within, scratch)
            errors = {"naive": np.abs(naive - truth) / scale, "lepton": np.abs(found[:, 0] - truth) / scale}
            peer, peer_seconds = (
                (None, "") if python is None else of_peer(python, scratch, values, origins, season, horizon)
            )
            row = [label, f"{np.nanmean(errors['naive']):.3f}", "-", f"{np.nanmean(errors['lepton']):.3f}"]
            row += [paired(errors["lepton"], errors["naive"]), "-", f"-, {share:.2f}", "-"]
            if peer is not None:
                errors["peer"] = np.abs(peer[:, 0] - truth) / scale
                row[2] = f"{np.nanmean(errors['peer']):.3f}"
                row[5] = paired(errors["lepton"], errors["peer"])
                row[6] = f"{covered(peer, truth):.2f}, {share:.2f}"
                row[7] = f"{peer_seconds:.1f}"
            row += [f"{seconds:.0f}, {micros:.0f}, {size / 1e3:.0f}", chosen]
            print("| " + " | ".join(row) + " |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--full", action="store_true")
    main(not parser.parse_args().full)
    sys.stdout.flush()
