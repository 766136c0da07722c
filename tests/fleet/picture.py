# SPDX-License-Identifier: BSD-3-Clause
"""The picture of a fleet's run: throughput, lag and spools over time, with what happened."""
from flowmeter import interpreter

WINDOW_S = 5


def per_second(samples, column):
    """The rise of a column over the last seconds."""
    rates, first = [], 0
    for number, sample in enumerate(samples):
        while first < number - 1 and samples[first][0] < sample[0] - WINDOW_S:
            first += 1
        seconds = sample[0] - samples[first][0]
        rates.append((sample[column] - samples[first][column]) / seconds if seconds > 0 else 0)
    return rates


def draw(sampler, path):
    if interpreter.missing("matplotlib"):
        print("fleet: no picture: it needs matplotlib (scripts/install-dependencies --analysis)")
        return
    from matplotlib.figure import Figure
    samples = sampler.samples
    seconds = [sample[0] for sample in samples]
    figure = Figure(figsize=(8, 6), layout="constrained")
    rates, lag, spools = figure.subplots(3, sharex=True)
    rates.plot(seconds, per_second(samples, 1), linewidth=1, label="made by the meters")
    rates.plot(seconds, per_second(samples, 2), linewidth=1, label="in the database")
    rates.legend(fontsize="x-small")
    rates.set_title("rows per second", fontsize="small", loc="left")
    lag.plot(seconds, [sample[1] - sample[2] for sample in samples], linewidth=1)
    lag.set_title("rows that the database lacks", fontsize="small", loc="left")
    spools.plot(seconds, [sample[3] for sample in samples], linewidth=1)
    spools.set_title("rows in spools of running meters", fontsize="small", loc="left")
    colours = {"broker: kill -9": "tab:red", "broker: back": "tab:green"}
    for axes in (rates, lag, spools):
        for moment, what in sampler.events:
            axes.axvline(moment, linewidth=0.5, linestyle=":", color=colours.get(what, "tab:gray"))
    spools.set_xlabel("seconds; dotted: a meter was killed or restarted (grey), the broker was killed (red) and was back (green)",
                      fontsize="small")
    figure.savefig(path)
